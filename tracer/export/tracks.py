# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracks of a timeline: which slices are drawn on one line, and the line's name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Thread ids are smaller than this (PID_MAX_LIMIT is 2**22), so tracks that are no thread get
#: numbers from here on.
FIRST_FREE = 1 << 22


@dataclass(frozen=True)
class Track:
    """A line of the timeline: ``pid`` and ``tid`` for the viewer, ``order`` among its lines."""

    pid: int
    tid: int
    name: str
    order: int


@dataclass
class Tracks:
    """All tracks. A thread or socket has several, its lanes, if slices would cross on one line."""

    found: dict[tuple[object, ...], Track] = field(default_factory=dict)

    def thread(self, tgid: int, tid: int, name: str, lane: int) -> Track:
        """The track of a thread; a lane above 0 is an additional line for slices that cross."""
        return self._track(("thread", tgid, tid), tgid, tid if lane == 0 else None, name, lane, 0)

    def cpu(self, cpu: int, lane: int) -> Track:
        """The track of a CPU's idle task, in which interrupts ran. All idle tasks have tid 0."""
        return self._track(("cpu", cpu), 0, None, f"idle, cpu {cpu}", lane, 0)

    def socket(self, tgid: int, key: tuple[object, ...], name: str, lane: int) -> Track:
        """The track of a socket; exchanges that overlap in time are on different lanes."""
        return self._track(("socket", tgid, *key), tgid, None, name, lane, 1)

    def _track(
        self, key: tuple[object, ...], pid: int, tid: int | None, name: str, lane: int, order: int
    ) -> Track:
        key = (*key, lane)
        if key not in self.found:
            shown = name if lane == 0 else f"{name} ({lane + 1})"
            number = FIRST_FREE + len(self.found) if tid is None else tid
            self.found[key] = Track(pid, number, shown, order)
        return self.found[key]


def lanes(track: Ints, start: Ints, end: Ints, depth: Ints, *, nest: bool) -> tuple[Ints, Ints]:
    """The order in which to write slices, and for each slice (as given) a lane of its track.

    The order is by track and start, an enclosing slice before those inside. In a lane, slices
    follow one another or, with ``nest``, lie one within the other: a viewer cannot draw slices
    that overlap in any other way.
    """
    order = np.lexsort((depth, -end, start, track))
    track, start, end = track[order], start[order], end[order]
    first = _first_of_stretches(track, start, end)
    crossing = _crossing(start, end, first) if nest else ~first
    found = np.zeros(track.size, np.int64)
    stretch = np.cumsum(first) - 1
    crossed = np.zeros(int(first.sum()), np.bool_)
    crossed[stretch[crossing]] = True
    rows = np.flatnonzero(crossed[stretch])
    open_ends = list[list[int]]()
    columns = (values[rows].tolist() for values in (first, start, end))
    for row, begins, begin, finish in zip(rows.tolist(), *columns, strict=True):
        if begins:
            open_ends = []
        found[row] = _place(open_ends, begin, finish, nest)
    lane = np.empty_like(found)
    lane[order] = found
    return order, lane


def _first_of_stretches(track: Ints, start: Ints, end: Ints) -> Mask:
    """The slices at whose start no other of their track is open; all are given in order.

    What comes before such a slice has no influence on the lanes of what follows.
    """
    first = np.ones(track.size, np.bool_)
    open_until = pd.Series(end).groupby(track, sort=False).cummax().to_numpy()
    first[1:] = (track[1:] != track[:-1]) | (open_until[:-1] <= start[1:])
    return first


def _crossing(start: Ints, end: Ints, first: Mask) -> Mask:
    """The slices that end later than the one that was opened last before them and is open still.

    The search goes back from each slice to the one before it, and as long as that has ended, to
    what was found for that one so far: so the steps double.
    """
    before = np.arange(start.size) - 1
    rows = np.flatnonzero(~first)
    while rows.size:
        rows = rows[end[before[rows]] <= start[rows]]
        before[rows] = before[before[rows]]
    return ~first & (end[before] < end)


def _place(open_ends: list[list[int]], begin: int, finish: int, nest: bool) -> int:
    """Put a slice into the first lane whose open slices have ended or enclose it."""
    for number, ends in enumerate(open_ends):
        while ends and ends[-1] <= begin:
            ends.pop()
        if not ends or (nest and ends[-1] >= finish):
            ends.append(finish)
            return number
    open_ends.append([finish])
    return len(open_ends) - 1


def names(tasks: pd.DataFrame) -> tuple[dict[int, str], dict[int, str]]:
    """The last known name of each thread and of each process.

    A process is named after its first thread, if the name of that is known.
    """
    ordered = tasks.sort_values("start_ns", kind="stable")
    threads = {int(t): str(c) for t, c in zip(ordered["tid"], ordered["comm"], strict=True)}
    processes = {int(p): str(c) for p, c in zip(ordered["tgid"], ordered["comm"], strict=True)}
    processes |= {pid: threads[pid] for pid in processes if pid in threads}
    return threads, processes


def metadata(tracks: Tracks, processes: dict[int, str]) -> Iterator[tuple[str, int, int, object]]:
    """(what, pid, tid, value) of the metadata: names of processes, names and order of tracks."""
    for pid in dict.fromkeys(track.pid for track in tracks.found.values()):
        yield "process_name", pid, 0, processes.get(pid, "kernel" if pid == 0 else f"process {pid}")
    for track in tracks.found.values():
        yield "thread_name", track.pid, track.tid, track.name
        yield "thread_sort_index", track.pid, track.tid, track.order
