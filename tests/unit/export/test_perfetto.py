# SPDX-License-Identifier: GPL-2.0-or-later
"""Timelines: valid, complete, and with every nanosecond."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recording_copies import ALL_CHANNELS
from run_builder import PID, PORT, record, times
from trace_event_format import check

import tracer
from tracer.export import perfetto
from tracer.run import Run


def exported(run: Run, path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    counts = perfetto.write(run, path / "trace.json")
    return check((path / "trace.json").read_text()), counts


def slices(events: list[dict[str, Any]], category: str) -> list[dict[str, Any]]:
    return [event for event in events if event.get("cat") == category]


@pytest.fixture(params=["all channels", "echoes"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    if request.param == "echoes":
        return tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 23)))
    return tracer.load(ALL_CHANNELS)


def test_the_counts_are_those_of_the_frames(run: Run, tmp_path: Path) -> None:
    events, counts = exported(run, tmp_path)
    found = Counter(event.get("cat") for event in events)
    assert found["kernel"] == counts["kernel"] == len(run.events)
    assert found["user"] == counts["user"] == len(run.sends)
    assert found["exchange"] == counts["exchange"] == len(run.exchanges)
    assert found["stage"] == counts["stage"] == len(run.stages)
    read = run.exchanges[run.exchanges["channel"].isin(["netlink", "notify", "peer"])]
    replies = int(read.loc[read["copy_ns"].notna(), "replies"].sum())
    assert counts["flow"] == sum(event["ph"] == "s" for event in events) == replies
    assert counts["track"] == sum(event["name"] == "thread_name" for event in events)


def test_no_nanosecond_is_lost(run: Run, tmp_path: Path) -> None:
    events, _counts = exported(run, tmp_path)

    def spans(category: str) -> list[tuple[Decimal, Decimal]]:
        return sorted((s["ts"] * 1000, s["dur"] * 1000) for s in slices(events, category))

    def pairs(start: pd.Series[int], duration: pd.Series[int]) -> list[tuple[int, int]]:
        return sorted(zip(start.tolist(), duration.tolist(), strict=True))

    seen = run.events
    assert spans("kernel") == pairs(seen["start_ns"], seen["end_ns"] - seen["start_ns"])
    found = run.exchanges
    assert spans("exchange") == pairs(found["start_ns"], found["total_ns"])
    assert spans("stage") == pairs(run.stages["start_ns"], run.stages["dur_ns"])


def test_stages_lie_in_their_exchange(run: Run, tmp_path: Path) -> None:
    events, _counts = exported(run, tmp_path)
    current: dict[str, Any] = {}
    for event in events:
        if event.get("cat") == "exchange":
            current = event
        elif event.get("cat") == "stage":
            assert (event["pid"], event["tid"]) == (current["pid"], current["tid"])
            assert current["ts"] <= event["ts"]
            assert event["ts"] + event["dur"] <= current["ts"] + current["dur"]


def test_a_flow_goes_from_send_to_reply_to_receive(tmp_path: Path) -> None:
    run = tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 3)))
    events, _counts = exported(run, tmp_path)
    starts = run.events.set_index("point")["start_ns"]
    for phase, point in (
        ("s", "netlink_sendmsg"),
        ("t", "__netlink_sendskb"),
        ("f", "skb_copy_datagram_iter"),
    ):
        at = [event["ts"] * 1000 for event in events if event["ph"] == phase]
        assert at == starts[point].tolist()


def test_a_notification_s_flow_has_no_send(tmp_path: Path) -> None:
    run = tracer.load(ALL_CHANNELS)
    events, _counts = exported(run, tmp_path)
    lengths = Counter(Counter(e["id"] for e in events if e["ph"] in "stf").values())
    by_channel = run.exchanges["channel"].value_counts()
    assert lengths[2] == by_channel["notify"]


def test_processes_threads_and_sockets_have_names(tmp_path: Path) -> None:
    run = tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 3)))
    events, _counts = exported(run, tmp_path)
    names = {(e["pid"], e["name"], e["args"].get("name")) for e in events if e["ph"] == "M"}
    assert (PID, "process_name", "echo") in names
    assert (PID, "thread_name", "echo") in names
    assert (PID, "thread_name", f"netlink 30, port {PORT}") in names


def test_arguments_tell_what_is_there(tmp_path: Path) -> None:
    run = tracer.load(ALL_CHANNELS)
    events, _counts = exported(run, tmp_path)
    exchange = next(e for e in slices(events, "exchange") if e["name"] == "msgchan echo")
    assert exchange["args"]["status"] == "ok"
    assert exchange["args"]["token"] == f"{run.exchanges['token'].iloc[0]:#018x}"
    assert "optname" not in exchange["args"]
    assert {e["name"] for e in slices(events, "user")} == {
        "netlink send", "netlink receive", "notify receive", "setsockopt", "getsockopt",
    }  # fmt: skip


def test_softirqs_on_idle_cpus_have_tracks_of_their_own(tmp_path: Path) -> None:
    run = tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 2)))
    events = run.events.copy()
    idle = events["point"] == "__netlink_sendskb"
    events.loc[idle, ["tid", "tgid"]] = 0
    events.loc[idle, "cpu"] = np.arange(idle.sum(), dtype=np.uint16)
    written, _counts = exported(changed(run, events=events), tmp_path)
    names = {e["args"].get("name") for e in written if e["ph"] == "M" and e["pid"] == 0}
    assert names >= {"idle, cpu 0", "idle, cpu 1", "kernel"}


def changed(run: Run, **frames: pd.DataFrame) -> Any:
    own = {
        name: getattr(run, name)
        for name in ("events", "sends", "tasks", "exchanges", "stages", "meta", "trusted")
    }
    return SimpleNamespace(**own | frames)  # fmt: skip


def test_calls_that_do_not_nest_get_another_lane(tmp_path: Path) -> None:
    run = tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 2)))
    events = run.events.copy()
    (row, *_rest) = events.index[events["point"] == "msgchan_handler"]
    events.loc[row, "end_ns"] += 50_000
    written, _counts = exported(changed(run, events=events), tmp_path)
    assert "echo (2)" in {e["args"].get("name") for e in written if e["ph"] == "M"}


def test_exchanges_under_way_at_once_get_lanes_of_their_own(tmp_path: Path) -> None:
    """Even one within another: the stages of both would lie in one line."""
    run = tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 2)))
    exchanges = run.exchanges.copy()
    exchanges.loc[0, "total_ns"] = 10_000_000
    assert exchanges["start_ns"].iloc[1] + exchanges["total_ns"].iloc[1] < 10_000_000
    written, _counts = exported(changed(run, exchanges=exchanges), tmp_path)
    names = {e["args"].get("name") for e in written if e["ph"] == "M"}
    assert names >= {f"netlink 30, port {PORT}", f"netlink 30, port {PORT} (2)"}


@pytest.mark.parametrize(("points", "phases"), [(0, ""), (1, ""), (2, "sf"), (3, "stf")])
def test_a_flow_has_a_start_and_an_end(points: int, phases: str) -> None:
    assert perfetto._phases(points) == phases


def test_an_empty_recording_is_an_empty_trace(tmp_path: Path) -> None:
    run = tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 1)))
    empty = changed(
        run, **{n: getattr(run, n).iloc[:0] for n in ("events", "sends", "exchanges", "stages")}
    )
    written, counts = exported(empty, tmp_path)
    assert written == []
    assert set(counts.values()) == {0}


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        (r'"dur":(\d)', r'"dur":-\1'),
        (r'"dur":(\d+)', r'"dur":9\1'),
        (r'"ts":\d+\.\d+', '"ts":1.000'),
        (r'("ts":\d+\.\d+)', r"\g<1>5"),
        (r'("ts":\d+)\.\d+', r"\1"),
        (r'"tid":(\d+)', r'"tid":"\1"'),
        (r'"tid":(\d+)', r'"tid":9\1'),
        (r'"name":"[^"]*"', '"name":""'),
        (r'"cat":"[^"]*",', ""),
        (r'"ph":"X"', '"ph":"s"'),
    ],
)
def test_the_check_finds_what_is_wrong(tmp_path: Path, pattern: str, instead: str) -> None:
    perfetto.write(tracer.load(ALL_CHANNELS), tmp_path / "trace.json")
    lines = (tmp_path / "trace.json").read_text().splitlines()
    check("\n".join(lines))
    row = next(i for i, line in enumerate(lines) if "msgchan_handler" in line)
    lines[row], changes = re.subn(pattern, instead, lines[row])
    assert changes == 1
    with pytest.raises((AssertionError, KeyError)):
        check("\n".join(lines))


@pytest.mark.parametrize("phase", "stf")
def test_the_check_finds_a_broken_flow(tmp_path: Path, phase: str) -> None:
    perfetto.write(tracer.load(ALL_CHANNELS), tmp_path / "trace.json")
    lines = (tmp_path / "trace.json").read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if f'"ph":"{phase}"' in line)
    moved = re.sub(r'"ts":\d+', '"ts":1', lines[row])
    for broken in ([*lines[:row], *lines[row + 1 :]], [*lines[:row], moved, *lines[row + 1 :]]):
        if phase == "t" and len(broken) < len(lines):
            continue  # a flow may do without a step
        with pytest.raises(AssertionError):
            check("\n".join(broken))
