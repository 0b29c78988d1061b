# SPDX-License-Identifier: GPL-2.0-or-later
"""The BPF ring buffer, read through its memory map without a call per record.

Layout (kernel/bpf/ringbuf.c): one page with the consumer's position, writable;
one page with the producer's position; the data, mapped twice in a row so that a
record that wraps lies contiguous. A record is a header of two 32-bit words
(length with a busy and a discard bit; page offset) and the payload, 8-byte
aligned. All of ours are one size, so that a block is a strided numpy view.
"""

from __future__ import annotations

import mmap
from types import TracebackType

import numpy as np
import numpy.typing as npt

from tracer.event import EVENT_DTYPE

_BUSY = np.uint32(1 << 31)
_DISCARD = np.uint32(1 << 30)
_RECORD = np.dtype([("length", "<u4"), ("pgoff", "<u4"), ("event", EVENT_DTYPE)])


class RingError(RuntimeError):
    """The ring holds bytes that no version of our probes writes."""


def _describe(length: int) -> str:
    size = length & ~int(_DISCARD)
    if length & int(_DISCARD):
        return f"discarded ring record of {size} bytes: our probes never discard one"
    return (
        f"ring record of {size} bytes, expected {EVENT_DTYPE.itemsize}: "
        "probes and tracer/event.py are of different versions"
    )


class Ring:
    """Reader of one ``BPF_MAP_TYPE_RINGBUF`` whose records are all ``EVENT_DTYPE``.

    ``fd`` is the map's file descriptor, ``size`` its data size in bytes.
    """

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self.size = size
        self._consumer_map = mmap.mmap(fd, page, mmap.MAP_SHARED)
        self._data_map = mmap.mmap(
            fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        self._consumer = np.frombuffer(self._consumer_map, "<u8", 1)
        self._producer = np.frombuffer(self._data_map, "<u8", 1)
        self._data = np.frombuffer(self._data_map, "u1", 2 * size, page)

    @property
    def pending(self) -> int:
        """Bytes between the consumer and the producer, reservations included."""
        return int(self._producer[0] - self._consumer[0])

    def read(self) -> npt.NDArray[np.void]:
        """All finished records since the last call, as a copy (``EVENT_DTYPE``).

        Stops before a record that a CPU is still writing; the next call has it.
        """
        position = int(self._consumer[0])
        start = position % self.size
        room = self.pending // _RECORD.itemsize * _RECORD.itemsize
        # A copy, so that no view of the ring outlives this call.
        block = self._data[start : start + room].copy().view(_RECORD)
        unfinished = np.flatnonzero(block["length"] & _BUSY)
        if unfinished.size:
            block = block[: unfinished[0]]
        wrong = np.flatnonzero(block["length"] != EVENT_DTYPE.itemsize)
        if wrong.size:
            raise RingError(_describe(int(block["length"][wrong[0]])))
        self._consumer[0] = position + block.size * _RECORD.itemsize
        return block["event"].copy()

    def close(self) -> None:
        """Unmap the ring."""
        del self._consumer, self._producer, self._data
        self._data_map.close()
        self._consumer_map.close()

    def __enter__(self) -> Ring:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
