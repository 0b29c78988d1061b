# SPDX-License-Identifier: GPL-2.0-or-later
"""The trace-event format, as far as we write it, checked strictly.

After "Trace Event Format" (Duca & Sinclair, 2016) and what Perfetto's importer adds: slices of
one track nest, and a flow's points lie on slices. The package ``perfetto`` carries no trace
processor; it downloads one when it runs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

KEYS = {
    "X": {"ph", "pid", "tid", "ts", "dur", "cat", "name"},
    "s": {"ph", "id", "pid", "tid", "ts", "cat", "name"},
    "t": {"ph", "id", "pid", "tid", "ts", "cat", "name"},
    "f": {"ph", "id", "pid", "tid", "ts", "cat", "name", "bp"},
    "M": {"ph", "pid", "tid", "name", "args"},
}
METADATA = {"process_name": ("name", str), "thread_name": ("name", str),
            "thread_sort_index": ("sort_index", int)}  # fmt: skip

Event = dict[str, Any]


def check(text: str) -> list[Event]:
    """The events of a trace; AssertionError for what a viewer would reject or draw wrongly."""
    trace = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert trace["displayTimeUnit"] == "ns"
    assert all(isinstance(value, str) for value in trace["otherData"].values())
    events: list[Event] = trace["traceEvents"]
    for event in events:
        _check_fields(event)
    _check_names(events)
    tracks = _by_track(events, "X")
    for slices in tracks.values():
        _check_nesting(slices)
    _check_flows(events, tracks)
    return events


def _no_constant(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def _check_fields(event: Event) -> None:
    keys = KEYS[event["ph"]]
    assert keys <= set(event) <= keys | ({"args"} if event["ph"] == "X" else set()), event
    for key in ("pid", "tid"):
        assert type(event[key]) is int, event
        assert 0 <= event[key] < 1 << 31, event
    for key in {"ts", "dur"} & set(event):
        assert isinstance(event[key], Decimal), event
        assert event[key] >= 0, event
        assert event[key].as_tuple().exponent == -3, event
    assert isinstance(event["name"], str), event
    assert event["name"], event
    assert all(isinstance(v, int | str) for v in event.get("args", {}).values()), event


def _check_names(events: list[Event]) -> None:
    told = [e for e in events if e["ph"] == "M"]
    for event in told:
        key, kind = METADATA[event["name"]]
        assert set(event["args"]) == {key}, event
        assert isinstance(event["args"][key], kind), event
    where = [(e["name"], e["pid"], e["tid"] * (e["name"] != "process_name")) for e in told]
    assert len(set(where)) == len(where), "named twice"
    for event in events:
        assert ("process_name", event["pid"], 0) in where, event
        if event["ph"] != "M":
            assert ("thread_name", event["pid"], event["tid"]) in where, event


def _by_track(events: list[Event], phase: str) -> dict[tuple[int, int], list[Event]]:
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == phase:
            tracks[event["pid"], event["tid"]].append(event)
    return tracks


def _check_nesting(slices: list[Event]) -> None:
    """In the order of the file, which settles equal times, each lies in or after the last."""
    assert [s["ts"] for s in slices] == sorted(s["ts"] for s in slices)
    ends: list[Decimal] = []
    for event in slices:
        while ends and ends[-1] <= event["ts"]:
            ends.pop()
        end = event["ts"] + event["dur"]
        assert not ends or end <= ends[-1], f"overlaps what encloses it: {event}"
        ends.append(end)


def _check_flows(events: list[Event], tracks: dict[tuple[int, int], list[Event]]) -> None:
    flows = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            flows[event["id"]].append(event)
    for points in flows.values():
        phases = "".join(point["ph"] for point in points)
        assert phases == "s" + "t" * (len(points) - 2) + "f", points
        assert [p["ts"] for p in points] == sorted(p["ts"] for p in points), points
        assert points[-1]["bp"] == "e"
        assert len({(p["cat"], p["name"]) for p in points}) == 1
        for point in points:
            slices = tracks[point["pid"], point["tid"]]
            assert any(s["ts"] <= point["ts"] <= s["ts"] + s["dur"] for s in slices), point
