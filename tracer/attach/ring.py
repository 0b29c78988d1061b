# SPDX-License-Identifier: GPL-2.0-or-later
"""The BPF ring buffer, read through its memory map without a call per record.

The layout (kernel/bpf/ringbuf.c) is: one writable page with the consumer's position;
one page with the producer's position; then the data, mapped twice in a row, so that a
record that wraps around the end is contiguous in memory. A record is a header of two
32-bit words (the length, which holds a busy and a discard bit; a page offset) and
the payload, 8-byte aligned. Our records are all of one size, so numpy can view a block
of them as a strided array.

Other CPUs may write records while this code reads. The kernel marks a record busy before
it moves the producer's position past it (``smp_store_release``), and removes the mark
(``xchg``) after the payload was written. So the reader must read in this order:

1. the producer's position (beyond it lie old headers, of an earlier round);
2. the headers up to that position;
3. the payloads of the records that were not busy.

If a payload were read before its header, it could be half written although the header,
read later, says that it is whole. Each step is a numpy call of its own, because the order
of reads within one copy is not defined. numpy has no memory barriers. On x86 none are
needed: its processors keep loads in program order, and a store after the loads before it.
Another architecture would need barriers; the recorder, like the lab, is for amd64.
"""

from __future__ import annotations

import mmap
from types import TracebackType

import numpy as np
import numpy.typing as npt

from tracer.event import RECORD_DTYPE, NotUnderstood

_BUSY, _DISCARD = 1 << 31, 1 << 30
_HEADER = 8
_RECORD = np.dtype([("length", "<u4"), ("pgoff", "<u4"), ("record", RECORD_DTYPE)])


def _describe(length: int) -> str:
    """Describe a record of unexpected size; ``length`` is the first word of its header."""
    size = length & ~_DISCARD
    if length & _DISCARD:
        return f"a discarded record of {size} bytes: our probes never discard one"
    return (
        f"a record of {size} bytes, expected {RECORD_DTYPE.itemsize}: "
        "probes and tracer/event.py are of different versions"
    )


class Ring:
    """Reader of one ``BPF_MAP_TYPE_RINGBUF`` whose records are all ``RECORD_DTYPE``.

    ``fd`` is the map's file descriptor, ``size`` the size of its data in bytes. Records of
    another length are left out and counted in ``odd``.
    """

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self.size = size
        self.odd = NotUnderstood()
        self._consumer_map = mmap.mmap(fd, page, mmap.MAP_SHARED)
        self._data_map = mmap.mmap(
            fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        self._consumer = np.frombuffer(self._consumer_map, "<u8", 1)
        self._producer = np.frombuffer(self._data_map, "<u8", 1)
        self._data = np.frombuffer(self._data_map, "u1", 2 * size, page)

    @property
    def pending(self) -> int:
        """Bytes that were reserved for records and not yet read; some may still be written."""
        return int(self._producer[0] - self._consumer[0])

    def read(self) -> npt.NDArray[np.void]:
        """All finished records since the last call, as a copy (``RECORD_DTYPE``).

        Stops before a record that a CPU is still writing; the next call has it.
        """
        position, produced = int(self._consumer[0]), int(self._producer[0])
        blocks = [np.empty(0, RECORD_DTYPE)]
        while position < produced:
            most = (produced - position) // _RECORD.itemsize
            lengths = self._lengths(position, max(most, 1))
            ours = min(most, int(np.argmin(np.append(lengths == RECORD_DTYPE.itemsize, False))))
            blocks.append(self._records(position, ours))
            position += ours * _RECORD.itemsize
            if ours == lengths.size:
                continue
            length = int(lengths[ours])
            if length & _BUSY:
                break
            # A record of another size: leave it out. Its length says where the next one begins.
            self.odd.add(1, _describe(length))
            room = _HEADER + ((length & ~_DISCARD) + 7) // 8 * 8
            position = min(position + room, produced)
        self._consumer[0] = position
        return np.concatenate(blocks)

    def _lengths(self, position: int, count: int) -> npt.NDArray[np.uint32]:
        """The length words of ``count`` records, if all of them have our size."""
        start = mmap.PAGESIZE + position % self.size
        stride = (_RECORD.itemsize,)
        return np.ndarray((count,), "<u4", self._data_map, start, stride).copy()

    def _records(self, position: int, count: int) -> npt.NDArray[np.void]:
        """A copy of the payloads of ``count`` finished records."""
        start = position % self.size
        records = self._data[start : start + count * _RECORD.itemsize].view(_RECORD)
        return records["record"].copy()

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
