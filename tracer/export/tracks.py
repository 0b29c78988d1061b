# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracks of a timeline: which slices lie on one line, and what the line is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]

#: Linux has no thread of this number or above (PID_MAX_LIMIT, 2**22): free for other tracks.
FIRST_FREE = 1 << 22


@dataclass(frozen=True)
class Track:
    """A line of the timeline. ``pid`` and ``tid`` as the viewer sees them, ``order`` its place."""

    pid: int
    tid: int
    name: str
    order: int


@dataclass
class Tracks:
    """Every track that was handed out; lanes beyond the first get a number of their own."""

    found: dict[tuple[object, ...], Track] = field(default_factory=dict)

    def thread(self, tgid: int, tid: int, name: str, lane: int) -> Track:
        """Of a thread; a lane above 0 is one more line for slices that do not nest."""
        return self._track(("thread", tgid, tid), tgid, tid if lane == 0 else None, name, lane, 0)

    def cpu(self, cpu: int, lane: int) -> Track:
        """Of what interrupted the idle task of a CPU: those are all thread 0."""
        return self._track(("cpu", cpu), 0, None, f"idle, cpu {cpu}", lane, 0)

    def socket(self, tgid: int, key: tuple[object, ...], name: str, lane: int) -> Track:
        """Of a socket; a lane for each exchange that is under way at once."""
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
    """An order in which slices can be drawn, and for each slice (as given) a lane of its track.

    The order is by track and start, the enclosing slice first. Within a lane slices follow one
    another, or (``nest``) lie one within the other; a viewer draws no others.
    """
    order = np.lexsort((depth, -end, start, track))
    lane = np.zeros(track.size, np.int64)
    current, open_ends = None, list[list[int]]()
    columns = zip(order.tolist(), track[order].tolist(), start[order].tolist(),
                  end[order].tolist(), strict=True)  # fmt: skip
    for row, key, begin, finish in columns:
        if key != current:
            current, open_ends = key, []
        lane[row] = _place(open_ends, begin, finish, nest)
    return order, lane


def _place(open_ends: list[list[int]], begin: int, finish: int, nest: bool) -> int:
    """The first lane whose open slices have ended or enclose this one; puts it there."""
    for number, ends in enumerate(open_ends):
        while ends and ends[-1] <= begin:
            ends.pop()
        if not ends or (nest and ends[-1] >= finish):
            ends.append(finish)
            return number
    open_ends.append([finish])
    return len(open_ends) - 1


def names(tasks: pd.DataFrame) -> tuple[dict[int, str], dict[int, str]]:
    """The last name of each thread, and of each process: that of its first thread if known."""
    ordered = tasks.sort_values("start_ns", kind="stable")
    threads = {int(t): str(c) for t, c in zip(ordered["tid"], ordered["comm"], strict=True)}
    processes = {int(p): str(c) for p, c in zip(ordered["tgid"], ordered["comm"], strict=True)}
    processes |= {pid: threads[pid] for pid in processes if pid in threads}
    return threads, processes


def metadata(tracks: Tracks, processes: dict[int, str]) -> Iterator[tuple[str, int, int, object]]:
    """(what, pid, tid, value) for the name of every process and the name and place of tracks."""
    for pid in dict.fromkeys(track.pid for track in tracks.found.values()):
        yield "process_name", pid, 0, processes.get(pid, "kernel" if pid == 0 else f"process {pid}")
    for track in tracks.found.values():
        yield "thread_name", track.pid, track.tid, track.name
        yield "thread_sort_index", track.pid, track.tid, track.order
