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

import gzip
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, latest
from tracer.event import SENDS
from tracer.export.trace_event import Details, Flows, Slices, head, tail
from tracer.export.tracks import Ints, Track, Tracks, lanes, metadata, names

if TYPE_CHECKING:
    from typing import BinaryIO

    from tracer.export.window import Part
    from tracer.frames.frames import Frames

#: On a recording of echoes levels 1, 3 and 6 added 1.5, 2 and 4.6 µs an event, for 47, 43 and 37
#: bytes of it.
GZIP_LEVEL = 3

#: At most: sent, queued, copied.
_POINTS = 3
_KINDS = ("send", "receive", "call")
_LOG_CHANNELS = ("netlink", "setsockopt", "getsockopt", "notify")
_QUEUED = ("netlink", "notify", "peer")
_LOG_ARGS = ("portid", "seq", "type", "size", "errno")
_ARGS = ("portid", "seq", "type", "size", "ret", "flags", "token")
_EXCHANGE_ARGS = (
    "status", "match", "errno", "seq", "msg_type", "optname", "token", "request_bytes",
    "reply_bytes", "replies", "unexplained_ns",
)  # fmt: skip


def write(run: Frames | Part, path: Path, *, compress: bool = False) -> dict[str, int]:
    """Write the trace; returns the numbers of slices by category, of flows and of tracks.

    The text is made and written in blocks. With ``compress`` the file is a gzip file, which
    ui.perfetto.dev opens as it is.
    """
    tracks = Tracks()
    threads, processes = names(run.tasks)
    with ExitStack() as files:
        file = cast("BinaryIO", files.enter_context(path.open("wb")))
        if compress:
            # Without name and time, so that the same recording gives the same file.
            packed = gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0)
            file = cast("BinaryIO", files.enter_context(packed))
        file.write(head(_about(run)).encode())
        slices = _thread_slices(run, tracks, threads)
        flows = _flows(run, slices)
        file.writelines(slices.text())
        del slices  # before those of the sockets need memory
        slices = _socket_slices(run, tracks)
        file.writelines(chain(slices.text(), flows.text()))
        file.write(tail(metadata(tracks, processes)).encode())
    return {
        "kernel": len(run.events),
        "user": len(run.sends),
        "exchange": len(run.exchanges),
        "stage": len(run.stages),
        "flow": int((flows.phase == "s").sum()),
        "track": len(tracks.found),
    }


def _about(run: Frames | Part) -> dict[str, str]:
    meta = run.meta
    told = {key: str(meta.get(key, "")) for key in ("host", "kernel", "started", "tracer")}
    return told | {"clock": "CLOCK_MONOTONIC", "trusted": "yes" if run.trusted else "NO"}


def _distinct(*columns: Ints) -> tuple[Ints, Ints]:
    """Numbers for the different rows of ``columns``, as they appear, and where each does first."""
    code = np.zeros(columns[0].size, np.int64)
    for column in columns:
        part = pd.factorize(column)[0]
        code = pd.factorize(code * (part.max(initial=0) + 1) + part)[0]
    return code, np.flatnonzero(np.diff(np.maximum.accumulate(code), prepend=-1))


# --------------------------------------------------------------------------
# Threads


def _thread_slices(run: Frames | Part, tracks: Tracks, threads: dict[int, str]) -> Slices:
    """The slices of events and log entries; ``row`` counts through the rows of both frames."""
    events, sends = run.events, run.sends

    def both(event: str, entry: str) -> Ints:
        return np.concatenate([events[event].to_numpy(np.int64), sends[entry].to_numpy(np.int64)])

    start, end = both("start_ns", "begin_ns"), both("end_ns", "end_ns")
    tid, tgid = both("tid", "tid"), both("tgid", "tgid")
    depth = np.append(events["depth"].to_numpy(np.int64), np.full(len(sends), -1))
    cpu = np.append(events["cpu"].to_numpy(np.int64), np.zeros(len(sends), np.int64))
    line = np.where(tid == 0, -1 - cpu, tid)
    order, lane = lanes(line, start, end, depth, nest=True)
    track, first = _distinct(line, tgid, lane)
    found = [
        tracks.thread(group, thread, threads.get(thread, f"thread {thread}"), number)
        if thread
        else tracks.cpu(on, number)
        for group, thread, on, number in zip(
            *(values[first].tolist() for values in (tgid, tid, cpu, lane)), strict=True
        )
    ]
    label, labels = _labels(events, sends)
    return Slices(
        track[order], start[order], end[order], label[order], order, found, labels,
        [(len(events), Details.of(events, _ARGS)), (len(sends), Details.of(sends, _LOG_ARGS))],
    )  # fmt: skip


def _labels(events: pd.DataFrame, sends: pd.DataFrame) -> tuple[Ints, list[tuple[str, str]]]:
    """The label of each row of both frames, as a position among the pairs (category, name)."""
    points = events["point"].cat
    labels = [("kernel", str(point)) for point in points.categories]
    kind, channel = (sends[name].to_numpy(np.int64) for name in ("kind", "channel"))
    logged = len(labels) + channel * len(_KINDS) + kind
    labels += [
        ("user", channel if kind == "call" else f"{channel} {kind}")
        for channel in _LOG_CHANNELS
        for kind in _KINDS
    ]
    return np.append(points.codes.to_numpy(np.int64), logged), labels


# --------------------------------------------------------------------------
# Sockets


def _socket_slices(run: Frames | Part, tracks: Tracks) -> Slices:
    """The slices of every exchange on its socket, each followed by those of its stages."""
    exchanges, stages = run.exchanges, run.stages
    start = exchanges["start_ns"].to_numpy(np.int64)
    total = exchanges["total_ns"].to_numpy(np.int64)
    order, track, found = _sockets(exchanges, start, start + total, tracks)
    # Where each exchange and each stage stands in the file; `order` is that of the exchanges.
    exchange = stages["exchange"].to_numpy(np.int64)
    first = np.searchsorted(exchange, np.arange(len(exchanges) + 1))
    place = np.empty(len(exchanges), np.int64)
    place[order] = np.cumsum(np.append(0, np.diff(first)[order] + 1))[:-1]
    behind = place[exchange] + 1 + np.arange(len(stages)) - first[exchange]
    row = np.empty(len(exchanges) + len(stages), np.int64)
    row[np.append(place, behind)] = np.arange(row.size)
    start = np.append(start, stages["start_ns"].to_numpy(np.int64))
    end = start + np.append(total, stages["dur_ns"].to_numpy(np.int64))
    name, stage = exchanges["name"].cat, stages["stage"].cat
    labels = [("exchange", str(category)) for category in name.categories]
    label = np.append(name.codes.to_numpy(np.int64), stage.codes.to_numpy(np.int64) + len(labels))
    labels += [("stage", str(category)) for category in stage.categories]
    return Slices(
        np.append(track, track[exchange])[row], start[row], end[row], label[row], row,
        found, labels, [(len(exchanges), Details.of(exchanges, _EXCHANGE_ARGS))],
    )  # fmt: skip


def _sockets(
    exchanges: pd.DataFrame, start: Ints, end: Ints, tracks: Tracks
) -> tuple[Ints, Ints, list[Track]]:
    """The order in which to write the exchanges, and the track of each as a position in a list."""
    names = ["netns", "proto", "portid", "tid", "tgid"]
    filled = exchanges[names].fillna(NONE).astype(np.int64)
    queued = exchanges["channel"].isin(_QUEUED).to_numpy()
    of_socket = [np.where(queued, filled[name], NONE) for name in names[:3]]
    keys = [queued.astype(np.int64), *of_socket, np.where(queued, NONE, filled["tid"])]
    tgid = np.maximum(filled["tgid"].to_numpy(), 0)
    order, lane = lanes(_distinct(*keys)[0], start, end, np.zeros_like(start), nest=False)
    code, first = _distinct(*(column[order] for column in (tgid, *keys, lane)))
    found = [
        tracks.socket(group, tuple(key), _socket_name(*key), number)
        for group, *key, number in zip(
            *(column[order[first]].tolist() for column in (tgid, *keys, lane)), strict=True
        )
    ]
    track = np.empty_like(code)
    track[order] = code
    return order, track, found


def _socket_name(queued: int, _netns: int, proto: int, portid: int, tid: int) -> str:
    return f"netlink {proto}, port {portid}" if queued else f"socket options of thread {tid}"


# --------------------------------------------------------------------------
# Flows


def _flows(run: Frames | Part, slices: Slices) -> Flows:
    """The flow of each reply: from its request's send to its queueing to its copy."""
    events = run.events.reset_index(names="row")
    ways = _ways(run, events).to_numpy(np.int64).reshape(-1, _POINTS)
    points = (ways != NONE).sum(axis=1)
    phases = np.array([list(_phases(count).ljust(_POINTS)) for count in range(_POINTS + 1)])
    drawn = (ways != NONE) & (points > 1)[:, None]
    row = ways[drawn]
    track = np.empty_like(slices.row)
    track[slices.row] = slices.track
    return Flows(
        phases[points][np.arange(_POINTS) < np.where(points > 1, points, 0)[:, None]],
        np.repeat(np.arange(1, len(ways) + 1), drawn.sum(axis=1)),
        track[row],
        events["start_ns"].to_numpy(np.int64)[row],
        slices.tracks,
    )


def _ways(run: Frames | Part, events: pd.DataFrame) -> pd.DataFrame:
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


def _sent(run: Frames | Part, events: pd.DataFrame) -> pd.Series[int]:
    """By exchange, the row of the call that sent its request."""
    calls = events[events["point"].isin(SENDS)][["row", "tid", "start_ns"]]
    entries = run.stages[run.stages["stage"] == "send_entry"][["exchange", "start_ns"]]
    tid = run.exchanges["tid"].fillna(NONE).to_numpy(np.int64)[entries["exchange"]]
    found = entries.assign(tid=tid).merge(calls.astype(np.int64), on=["tid", "start_ns"])
    return found.drop_duplicates("exchange").set_index("exchange")["row"]


def _phases(points: int) -> str:
    """The phases of a flow of so many points: start, steps, finish; "" for fewer than two."""
    return "s" + "t" * (points - 2) + "f" if points > 1 else ""
