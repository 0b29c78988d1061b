# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording as a timeline for ui.perfetto.dev and chrome://tracing.

The file is in the trace-event format (JSON): complete slices (``X``), flows (``s``, ``t``, ``f``),
which are drawn as arrows, and metadata (``M``). Times are microseconds of CLOCK_MONOTONIC with
three decimals. A process has two kinds of tracks. On its threads lie the probes' observations
(category ``kernel``), inside the entries of the user's log (``user``). On its sockets lie the
exchanges (``exchange``), each with its stages inside (``stage``). Each reply has a flow from the
send call of the request to the queueing of the reply and on to the copy that
received it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, latest
from tracer.event import SENDS
from tracer.export.tracks import Ints, Track, Tracks, lanes, metadata, names

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

_KINDS = ("send", "receive", "call")
_LOG_CHANNELS = ("netlink", "setsockopt", "getsockopt", "notify")
_QUEUED = ("netlink", "notify", "peer")
_ARGS = ("portid", "seq", "type", "size", "ret", "flags", "token")
_EXCHANGE_ARGS = (
    "status", "match", "errno", "seq", "msg_type", "optname", "token", "request_bytes",
    "reply_bytes", "replies", "unexplained_ns",
)  # fmt: skip


def write(run: Frames, path: Path) -> dict[str, int]:
    """Write the trace; returns the numbers of slices by category, of flows and of tracks."""
    tracks = Tracks()
    threads, processes = names(run.tasks)
    flows = 0
    with path.open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit":"ns","otherData":' + json.dumps(_about(run)))
        file.write(',"traceEvents":[\n')
        on_threads, where = _thread_slices(run, tracks, threads)
        for line in on_threads:
            file.write(line + ",\n")
        for line in _socket_slices(run, tracks):
            file.write(line + ",\n")
        for line in _flows(run, where):
            file.write(line + ",\n")
            flows += '"ph":"s"' in line
        named = [_metadata(*entry) for entry in metadata(tracks, processes)]
        file.write(",\n".join(named) + "\n]}\n")
    return {
        "kernel": len(run.events),
        "user": len(run.sends),
        "exchange": len(run.exchanges),
        "stage": len(run.stages),
        "flow": flows,
        "track": len(tracks.found),
    }


def _about(run: Frames) -> dict[str, str]:
    meta = run.meta
    told = {key: str(meta.get(key, "")) for key in ("host", "kernel", "started", "tracer")}
    return told | {"clock": "CLOCK_MONOTONIC", "trusted": "yes" if run.trusted else "NO"}


# --------------------------------------------------------------------------
# Threads


def _thread_slices(
    run: Frames, tracks: Tracks, threads: dict[int, str]
) -> tuple[Iterator[str], list[Track]]:
    """The slices of events and log entries, and the track of every event by its row."""
    events, sends = run.events, run.sends
    both = pd.DataFrame(
        {
            "start": np.concatenate([events["start_ns"], sends["begin_ns"]]),
            "end": np.concatenate([events["end_ns"], sends["end_ns"]]),
            "depth": np.concatenate([events["depth"], np.full(len(sends), -1)]),
            "cpu": np.concatenate([events["cpu"], np.zeros(len(sends))]),
            "tid": np.concatenate([events["tid"], sends["tid"]]),
            "tgid": np.concatenate([events["tgid"], sends["tgid"]]),
        }
    ).astype(np.int64)
    start, end = both["start"].to_numpy(), both["end"].to_numpy()
    line = np.where(both["tid"] == 0, -1 - both["cpu"], both["tid"])
    order, lane = lanes(line, start, end, both["depth"].to_numpy(), nest=True)
    places = [
        tracks.thread(tgid, tid, threads.get(tid, f"thread {tid}"), number)
        if tid
        else tracks.cpu(cpu, number)
        for tgid, tid, cpu, number in zip(
            *(both[name].tolist() for name in ("tgid", "tid", "cpu")), lane.tolist(), strict=True
        )
    ]
    labels = _labels(events, sends)

    def lines() -> Iterator[str]:
        for row in order.tolist():
            category, name, arguments = labels(row)
            yield _slice(places[row], category, name, int(start[row]), int(end[row]), arguments)

    return lines(), places[: len(events)]


def _labels(events: pd.DataFrame, sends: pd.DataFrame) -> Any:
    """A function that returns category, name and arguments of a row.

    Rows are counted through both frames: those of ``sends`` follow those of ``events``.
    """
    seen = {name: events[name].tolist() for name in ("point", *_ARGS)}
    logged = {name: sends[name].tolist() for name in ("kind", "channel", "errno", *_ARGS[:4])}

    def label(row: int) -> tuple[str, str, dict[str, Any]]:
        if row < len(events):
            found = {name: seen[name][row] for name in _ARGS}
            return "kernel", str(seen["point"][row]), _told(found)
        entry = {name: values[row - len(events)] for name, values in logged.items()}
        kind, channel = _KINDS[entry.pop("kind")], _LOG_CHANNELS[entry.pop("channel")]
        return "user", channel if kind == "call" else f"{channel} {kind}", _told(entry)

    return label


# --------------------------------------------------------------------------
# Sockets


def _socket_slices(run: Frames, tracks: Tracks) -> Iterator[str]:
    """The slices of every exchange on its socket, each followed by those of its stages."""
    exchanges, stages = run.exchanges, run.stages
    filled = exchanges[["tgid", "tid", "netns", "proto", "portid"]].fillna(NONE).astype(np.int64)
    queued = exchanges["channel"].isin(_QUEUED).to_numpy()
    keys = list(
        zip(
            queued.tolist(),
            *(filled[name].where(queued, NONE).tolist() for name in ("netns", "proto", "portid")),
            filled["tid"].where(~queued, NONE).tolist(),
            strict=True,
        )
    )
    codes: Ints = np.asarray(pd.factorize(pd.Series(keys, dtype=object))[0], np.int64)
    start = exchanges["start_ns"].to_numpy(np.int64)
    end = start + exchanges["total_ns"].to_numpy(np.int64)
    order, lane = lanes(codes, start, end, np.zeros(len(exchanges), np.int64), nest=False)
    columns = {name: exchanges[name].tolist() for name in ("name", *_EXCHANGE_ARGS)}
    tgid = filled["tgid"].tolist()
    first = np.searchsorted(stages["exchange"], np.arange(len(exchanges) + 1))
    parts = list(
        zip(stages["stage"].tolist(), stages["start_ns"].tolist(), stages["dur_ns"].tolist(),
            strict=True)
    )  # fmt: skip
    for row in order.tolist():
        place = tracks.socket(max(tgid[row], 0), keys[row], _socket_name(keys[row]), int(lane[row]))
        told = _told({name: columns[name][row] for name in _EXCHANGE_ARGS})
        name = str(columns["name"][row])
        yield _slice(place, "exchange", name, int(start[row]), int(end[row]), told)
        for stage, begin, duration in parts[first[row] : first[row + 1]]:
            yield _slice(place, "stage", str(stage), begin, begin + duration, {})


def _socket_name(key: tuple[Any, ...]) -> str:
    queued, _netns, proto, portid, tid = key
    return f"netlink {proto}, port {portid}" if queued else f"socket options of thread {tid}"


# --------------------------------------------------------------------------
# Flows


def _flows(run: Frames, places: list[Track]) -> Iterator[str]:
    """The flow of each reply: from its request's send to its queueing to its copy."""
    events = run.events.reset_index(names="row")
    for number, rows in enumerate(_ways(run, events).itertuples(index=False)):
        points = [int(row) for row in rows if row != NONE]
        for phase, row in zip(_phases(len(points)), points, strict=False):
            yield _flow(phase, number + 1, places[row], int(events["start_ns"].iat[row]))


def _ways(run: Frames, events: pd.DataFrame) -> pd.DataFrame:
    """One line per reply: the rows of ``events`` at which it was sent, queued and copied.

    ``sent`` is the send call of its request. NONE stands for what was not observed.
    """
    stages = run.stages
    channel = run.exchanges["channel"].to_numpy(object)[stages["exchange"]]
    received = stages[(stages["stage"] == "copy") & np.isin(channel, _QUEUED)]
    copies = events[events["point"] == "skb_copy_datagram_iter"]
    ways = received.assign(end_ns=received["start_ns"] + received["dur_ns"]).merge(
        copies[["row", "start_ns", "end_ns", "skb"]], on=["start_ns", "end_ns"]
    )
    ways = ways.drop_duplicates(["exchange", "occurrence"])
    queued = events[events["point"] == "__netlink_sendskb"]
    found = latest(
        ways["skb"].to_numpy(np.int64), ways["start_ns"].to_numpy(np.int64),
        queued["skb"].to_numpy(np.int64), queued["start_ns"].to_numpy(np.int64),
    )  # fmt: skip
    rows = np.append(queued["row"].to_numpy(np.int64), NONE)
    sent = _sent(run, events)
    return pd.DataFrame(
        {
            "sent": ways["exchange"].map(sent).fillna(NONE).astype(np.int64).to_numpy(),
            "queued": rows[found],
            "copied": ways["row"].to_numpy(np.int64),
        }
    )


def _sent(run: Frames, events: pd.DataFrame) -> pd.Series[int]:
    """By exchange, the row of the call that sent its request."""
    calls = events[events["point"].isin(SENDS)][["row", "tid", "start_ns"]]
    entries = run.stages[run.stages["stage"] == "send_entry"][["exchange", "start_ns"]]
    tid = run.exchanges["tid"].fillna(NONE).to_numpy(np.int64)[entries["exchange"]]
    found = entries.assign(tid=tid).merge(calls.astype(np.int64), on=["tid", "start_ns"])
    return found.drop_duplicates("exchange").set_index("exchange")["row"]


def _phases(points: int) -> str:
    """The phases of a flow of so many points: start, steps, finish; "" for fewer than two."""
    return "s" + "t" * (points - 2) + "f" if points > 1 else ""


# --------------------------------------------------------------------------
# The format


def _us(ns: int) -> str:
    """Microseconds with three decimals, as a JSON number: no nanosecond is lost."""
    return f"{ns // 1000}.{ns % 1000:03d}"


def _slice(
    track: Track, category: str, name: str, start: int, end: int, arguments: dict[str, Any]
) -> str:
    args = f',"args":{json.dumps(arguments)}' if arguments else ""
    return (
        f'{{"ph":"X","pid":{track.pid},"tid":{track.tid},"ts":{_us(start)},'
        f'"dur":{_us(end - start)},"cat":"{category}","name":{json.dumps(name)}{args}}}'
    )


def _flow(phase: str, number: int, track: Track, at: int) -> str:
    binding = ',"bp":"e"' if phase == "f" else ""
    return (
        f'{{"ph":"{phase}","id":{number},"pid":{track.pid},"tid":{track.tid},"ts":{_us(at)},'
        f'"cat":"flow","name":"message"{binding}}}'
    )


def _metadata(what: str, pid: int, tid: int, value: object) -> str:
    key = "sort_index" if what.endswith("_sort_index") else "name"
    return json.dumps({"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {key: value}})


def _told(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments without those that are absent or zero.

    Tokens become hexadecimal text, because a viewer's numbers have only 53 bits.
    """
    told = {}
    for name, value in arguments.items():
        if value is pd.NA or value is None or value in (0, ""):
            continue
        told[name] = f"{value:#018x}" if name == "token" else value
    return told
