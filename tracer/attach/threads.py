# SPDX-License-Identifier: GPL-2.0-or-later
"""The traced threads: their slots, which the probes and this process write in turn.

``bpf/maps.c`` has the structures. The slots are an array that is mapped into this process, so
that they are read and written without a system call. A thread's slot is its id modulo their
number. Who inserts the slot's index into ``owners`` first, a probe or this process, has the
slot; a thread that comes second goes to ``spilled``.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tracer.attach.bpf import Map
from tracer.attach.slot import FREE, THREAD_DTYPE, TID, OpenCall, open_call

#: System call 324 of x86-64; its command 1 waits for every processor (membarrier(2)).
_MEMBARRIER, _MEMBARRIER_CMD_GLOBAL = 324, 1


@dataclass(frozen=True)
class Stopped:
    """The traced threads that were still there when tracing stopped, and their open calls."""

    threads: list[int]
    calls: list[OpenCall]


class Threads:
    """The slots of one program, and the threads in them.

    ``maps`` are those of the probes, ``count`` is the number of slots. ``options`` are the numbers
    of msgchan's socket options, by which an open call is known to be one of the module's.
    """

    def __init__(self, maps: Mapping[str, Map], count: int, options: range) -> None:
        self._spilled, self._owners = maps["spilled"], maps["owners"]
        self._options = options
        size = -(-count * THREAD_DTYPE.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map = mmap.mmap(maps["slots"].fd, size, mmap.MAP_SHARED)
        self._slots = np.frombuffer(self._map, THREAD_DTYPE, count)
        self._slots["ids"] = FREE

    def close(self) -> None:
        """Unmap the slots."""
        del self._slots
        self._map.close()

    def process_of(self, tid: int) -> int | None:
        """The process id of a traced thread, None if the thread is not traced."""
        ids = int(self._slots["ids"][tid % self._slots.size])
        if ids == FREE or ids & TID != tid:
            spilled = self._spilled.get(_u32(tid))
            if spilled is None:
                return None
            ids = _ids(spilled)
        return ids >> 32

    def enter(self, tid: int, tgid: int, *, fresh: bool) -> None:
        """Trace a thread from now on; nothing changes if it is traced already.

        With ``fresh`` it may be inside a call at this moment, whose return is then no loss.
        """
        index = tid % self._slots.size
        slot = self._slots[index : index + 1]
        if not self._owners.insert(_u32(index), _u32(tid)):
            if self.process_of(tid) is None:
                slot["crowded"] = 1
                thread = np.zeros(1, THREAD_DTYPE)
                thread["ids"], thread["fresh"] = tgid << 32 | tid, fresh
                self._spilled.put(_u32(tid), thread.tobytes())
            return
        for name in ("open", "marked", "broadcasting", "watched", "dump_ns"):
            slot[name] = 0
        slot["fresh"] = fresh
        slot["ids"] = tgid << 32 | tid  # last: from here on the probes use the slot

    def stop(self) -> Stopped:
        """Trace no thread any more; returns those that still ran, and their open calls.

        A probe that is running when its thread is let go finishes its work. So the slots are
        read after all probes that ran then have ended: a call is either recorded or returned
        here, never both. A thread that forks meanwhile enters its child, so look again until
        nothing is found.
        """
        running: set[int] = set()
        calls: list[OpenCall] = []
        while True:
            here = np.flatnonzero(self._slots["ids"] != FREE)
            ids = self._slots["ids"][here].copy()
            self._slots["ids"][here] = FREE
            spilled = self._spilled.take()
            if not here.size and not spilled:
                return Stopped(sorted(running), calls)
            _wait_for_probes()
            stopped = self._slots[here].copy()
            stopped["ids"] = ids
            for thread in spilled:
                stopped = np.append(stopped, np.frombuffer(thread, THREAD_DTYPE, 1))
            for index in here.tolist():
                self._owners.remove(_u32(index))
            running.update((stopped["ids"] & TID).tolist())
            found = (open_call(thread, self._options) for thread in stopped)
            calls.extend(call for call in found if call is not None)

    def processes(self) -> set[int]:
        """The ids of the processes that have a traced thread."""
        ids = self._slots["ids"]
        spilled = {_ids(value) >> 32 for _key, value in self._spilled.items()}
        return spilled.union((ids[ids != FREE] >> 32).tolist())


def _u32(number: int) -> bytes:
    return struct.pack("<I", number)


def _ids(thread: bytes) -> int:
    return int(np.frombuffer(thread, THREAD_DTYPE, 1)["ids"][0])


def _wait_for_probes() -> None:
    """Return when every probe that runs now has ended.

    Probes run in RCU read-side critical sections, and membarrier waits for a grace period of
    RCU (kernel/sched/membarrier.c). On a single processor it need not: a probe is not
    preempted, so none runs while this does.
    """
    if ctypes.CDLL(None, use_errno=True).syscall(_MEMBARRIER, _MEMBARRIER_CMD_GLOBAL, 0, 0):
        raise OSError(ctypes.get_errno(), f"membarrier: {os.strerror(ctypes.get_errno())}")
