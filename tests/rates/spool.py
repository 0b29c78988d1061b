# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user side's own log costs the traced program, and the recorder when nothing is new.

    .venv/bin/python tests/rates/spool.py

Prints three Markdown tables. The first has the cost of an entry: of a loop that does nothing, of a
log in memory, of a log in a spool. ``CPU ns`` is what an entry adds to the loop, by the thread's
own CPU time: the least and the median of all rounds. The other columns are of the time on the
wall from one entry to the next, which shows what else the machine does; the row of the bare loop
shows how much that is. The second table is of single entries, those that begin a new file or a new
part of one, alone and beside a thread that is busy in Python, with other work of about the
same length to compare with. ``lock lost`` counts how often that thread got the interpreter's lock
meanwhile; who is off the CPU for 5 ms loses it in any case. The third is of ``SpoolReader.read``
when nothing is new.

To compare with another state of the project, name its directory: ``PYTHONPATH=DIR``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import tracer
from tracer.clients.sends import SPOOL_VARIABLE, SendLog
from tracer.clients.spool_reader import SpoolReader

ROUNDS = 15
#: Entries of a round: five files and a bit. So 15 rounds have 307,245.
ENTRIES = 5 * 4096 + 3
#: Entries of a part of a file that is mapped at once.
PART = 1024
NEW_FILES = 101
LOOKS = 31
THREADS = (10, 100, 1000, 2000)
PAUSE_NS = 1_000_000

Add = Callable[..., None]


@contextmanager
def spool() -> Iterator[Path]:
    """A directory in memory, as a recorder's; programs log there meanwhile."""
    path = Path(tempfile.mkdtemp(prefix="spool-rates-", dir="/dev/shm"))
    os.environ[SPOOL_VARIABLE] = str(path)
    try:
        yield path
    finally:
        del os.environ[SPOOL_VARIABLE]
        shutil.rmtree(path)


def loop(count: int) -> float:
    """CPU time of a turn in ns, without an entry."""
    begin = time.thread_time_ns()
    for _number in range(count):
        pass
    return (time.thread_time_ns() - begin) / count


def cost(log: SendLog, count: int) -> float:
    """CPU time of an entry in ns, with a turn of the loop."""
    begin = time.thread_time_ns()
    for number in range(count):
        log.add(begin, begin, number, 0, 66, number, 64, 16, 0, 0, 1, 30)
    return (time.thread_time_ns() - begin) / count


def steps(add: Add | None, count: int) -> np.ndarray:
    """Time on the wall in ns from each entry to the next."""
    now = time.perf_counter_ns
    times = [0] * (count + 1)
    if add is None:
        for number in range(count + 1):
            times[number] = now()
    else:
        for number in range(count + 1):
            add(1, 2, number, 0, 66, number, 64, 16, 0, 0, 1, 30)
            times[number] = now()
    return np.diff(times)


def entries(place: Path) -> None:
    """The table of an entry's cost; the rows are measured in turn."""
    reader = SpoolReader(place)
    in_spool, in_memory = SendLog(), SendLog()
    cost(in_spool, 1)
    del os.environ[SPOOL_VARIABLE]
    cost(in_memory, 1)
    os.environ[SPOOL_VARIABLE] = str(place)
    bare = min(loop(ENTRIES) for _ in range(ROUNDS))
    rows = {"the bare loop": None, "in memory": in_memory, "spooled": in_spool}
    costs: dict[str, list[float]] = {name: [] for name in rows}
    walls: dict[str, list[np.ndarray]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, log in rows.items():
            if log is in_memory:
                del os.environ[SPOOL_VARIABLE]
            costs[name].append(loop(ENTRIES) if log is None else cost(log, ENTRIES))
            walls[name].append(steps(None if log is None else log.add, ENTRIES))
            os.environ[SPOOL_VARIABLE] = str(place)
        reader.read()
    reader.close()
    count = ROUNDS * ENTRIES
    print(f"| {count:,} entries | CPU ns, least | median | p50 | p99 | longest | above 1 ms |")
    print("|---|---|---|---|---|---|---|")
    for name in rows:
        wall = np.concatenate(walls[name])
        least, median = min(costs[name]) - bare, float(np.median(costs[name])) - bare
        p50, p99 = np.percentile(wall, (50, 99))
        print(
            f"| {name} | {least:.0f} | {median:.0f} | {p50:.0f} ns | {p99:.0f} ns "
            f"| {wall.max() / 1e6:.2f} ms | {np.count_nonzero(wall > PAUSE_NS)} |"
        )


def timed(work: Callable[[], object], turns: Sequence[int]) -> tuple[float, float, bool]:
    """What a piece of work takes on the wall and of the thread's CPU time, in us.

    And whether the other thread, which counts its ``turns``, had one meanwhile.
    """
    before = turns[0]
    begin, begun = time.perf_counter_ns(), time.thread_time_ns()
    work()
    took = time.thread_time_ns() - begun
    return (time.perf_counter_ns() - begin) / 1e3, took / 1e3, turns[0] != before


def room(place: Path, beside: str, turns: Sequence[int]) -> None:
    """Rows: entries that begin a file or a part of one, and other work of about that length."""
    reader, log = SpoolReader(place), SendLog()
    taken: dict[str, list[tuple[float, float, bool]]] = {
        "other work": [], "a new part": [], "a new file": []
    }  # fmt: skip

    def add() -> None:
        log.add(1, 2, 3, 0, 66, 4, 64, 16, 0, 0, 1, 30)

    for _ in range(NEW_FILES):
        taken["other work"].append(timed(lambda: sum(range(12_000)), turns))
        taken["a new file"].append(timed(add, turns))
        for _part in range(3):
            # Not before a measured piece: who has just waited for a reader is soon preempted.
            reader.read()
            cost(log, PART - 1)
            taken["a new part"].append(timed(add, turns))
        cost(log, PART - 1)
    reader.close()
    for name, times in taken.items():
        walls, works, given = np.array(times).T
        p50, p90 = np.percentile(walls, (50, 90))
        print(
            f"| {name}, {beside} | {p50:.0f} | {p90:.0f} | {walls.max():.0f} "
            f"| {np.count_nonzero(walls > PAUSE_NS / 1e3)} of {len(walls)} "
            f"| {np.count_nonzero(given)} | {np.median(works):.0f} | {works.max():.0f} |"
        )


@contextmanager
def busy_thread() -> Iterator[Sequence[int]]:
    """A thread that never waits for anything but the interpreter's lock, and counts."""
    over, turns = False, [0]

    def spin() -> None:
        while not over:
            turns[0] += 1

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield turns
    finally:
        over = True
        thread.join()


def idle(threads: int) -> None:
    """A row: a look at so many logs when nothing is new."""
    with spool() as place:
        for _ in range(threads):
            thread = threading.Thread(target=lambda: cost(SendLog.for_thread(), 1))
            thread.start()
            thread.join()
        reader = SpoolReader(place)
        found = len(reader.read())
        if found != threads:
            raise SystemExit(f"{found} entries of {threads} threads were read")
        time.sleep(0.05)  # as the recorder does; a directory that has just changed costs more
        reader.read()
        looks, work = [], []
        for _ in range(LOOKS):
            begin, begun = time.perf_counter(), time.thread_time()
            found += len(reader.read())
            work.append(time.thread_time() - begun)
            looks.append(time.perf_counter() - begin)
        reader.close()
    print(
        f"| {threads:,} | {np.median(looks) * 1e3:.2f} | {max(looks) * 1e3:.2f} "
        f"| {np.median(work) * 1e3:.2f} |"
    )


def main() -> None:
    print(f"{Path(tracer.__file__).parents[1]}, Python {sys.version.split()[0]}\n")
    with spool() as place:
        entries(place)
        print("\n| us | p50 | p90 | longest | above 1 ms | lock lost | CPU p50 | CPU longest |")
        print("|---|---|---|---|---|---|---|---|")
        room(place, "alone", (0,))
        with busy_thread() as turns:
            room(place, "beside a busy thread", turns)
    print("\n| an idle look at threads | p50, ms | longest, ms | CPU p50, ms |")
    print("|---|---|---|---|")
    for threads in THREADS:
        idle(threads)


if __name__ == "__main__":
    main()
