# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of a recording that lies in a window of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.correlate.columns import NONE, latest
from tracer.errors import TracerError
from tracer.units import time_text

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Frames of a recording that are exported: those of :class:`tracer.frames.frames.Frames`,
    cut to a window."""

    meta: dict[str, Any]
    trusted: bool
    tasks: pd.DataFrame
    events: pd.DataFrame
    sends: pd.DataFrame
    exchanges: pd.DataFrame
    stages: pd.DataFrame


def cut(run: Frames, begin_ns: int | None, end_ns: int | None) -> Part:
    """What overlaps the time from ``begin_ns`` to before ``end_ns``; None: without bound.

    Times count from the start of the first exchange, as in reports; if there is none, from the
    first observation. An exchange that overlaps the window is kept whole: with all its stages,
    and what was observed of its own thread, or logged by it, while it lasted. Of the other
    observations and log entries those remain that overlap the window.

    Raises :class:`TracerError` if nothing does.
    """
    zero, last = _extent(run)
    begin = -(1 << 62) if begin_ns is None else zero + begin_ns
    end = 1 << 62 if end_ns is None else zero + end_ns
    found, events, sends = run.exchanges, run.events, run.sends
    started = found["start_ns"].to_numpy(np.int64)
    ended = started + found["total_ns"].to_numpy(np.int64)
    kept = _overlap(started, ended, begin, end)
    whole = _Threads(found["tid"].fillna(NONE).to_numpy(np.int64)[kept], started[kept], ended[kept])

    def part(frame: pd.DataFrame, start: str) -> pd.DataFrame:
        at, until = (frame[name].to_numpy(np.int64) for name in (start, "end_ns"))
        inside = whole.enclose(frame["tid"].to_numpy(np.int64), at, until)
        return frame[_overlap(at, until, begin, end) | inside].reset_index(drop=True)

    events, sends = part(events, "start_ns"), part(sends, "begin_ns")
    if not kept.any() and events.empty and sends.empty:
        raise TracerError(
            f"cannot export {run.path}",
            f"nothing lies in the window: the recording ends {time_text(last - zero)} after its "
            "first exchange began",
            "choose another --from or --to",
        )
    return Part(
        run.meta, run.trusted, run.tasks, events, sends,
        found[kept].reset_index(drop=True), _stages(run.stages, kept),
    )  # fmt: skip


def _extent(run: Frames) -> tuple[int, int]:
    """When the first exchange began, or the first observation if there is none; the last end."""
    found, events, sends = run.exchanges, run.events, run.sends
    starts = [found["start_ns"]] if len(found) else [events["start_ns"], sends["begin_ns"]]
    ends = [found["start_ns"] + found["total_ns"], events["end_ns"], sends["end_ns"]]
    first = min((int(times.min()) for times in starts if len(times)), default=0)
    return first, max((int(times.max()) for times in ends if len(times)), default=first)


def _overlap(start: Ints, end: Ints, begin: int, before: int) -> Mask:
    """What lasts at some time from ``begin`` to before ``before``; an instant lasts 1 ns."""
    return np.asarray((start < before) & (np.maximum(end, start + 1) > begin), np.bool_)


class _Threads:
    """Times in which exchanges of threads were under way."""

    def __init__(self, tid: Ints, start: Ints, end: Ints) -> None:
        order = np.lexsort((start, tid))
        self._tid, self._start = tid[order], start[order]
        # Until when one of the thread's exchanges so far is under way.
        ends = pd.Series(end[order]).groupby(self._tid).cummax().to_numpy(np.int64)
        self._end = np.append(ends, NONE)

    def enclose(self, tid: Ints, start: Ints, end: Ints) -> Mask:
        """Whether each of these lies within an exchange of its thread."""
        return np.asarray(self._end[latest(tid, start, self._tid, self._start)] >= end, np.bool_)


def _stages(stages: pd.DataFrame, kept: Mask) -> pd.DataFrame:
    """The stages of the exchanges that are kept, with the new rows of these."""
    exchange = stages["exchange"].to_numpy(np.int64)
    mine = kept[exchange]
    rows = np.cumsum(kept) - 1
    return stages[mine].assign(exchange=rows[exchange[mine]]).reset_index(drop=True)
