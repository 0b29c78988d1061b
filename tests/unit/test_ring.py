# SPDX-License-Identifier: GPL-2.0-or-later
"""The ring's reader on a ring made of a memfd."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from tracer.event import EVENT_DTYPE
from tracer.ring import Ring, RingError

PAGE = mmap.PAGESIZE
RECORD = 8 + EVENT_DTYPE.itemsize
BUSY, DISCARD = 1 << 31, 1 << 30


class FakeRing:
    """What the kernel maps: consumer page, producer page, and the data twice."""

    def __init__(self, size: int = PAGE) -> None:
        self.size = size
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * size)
        self.produced = 0
        self.written = 0

    @property
    def consumed(self) -> int:
        return int(struct.unpack("<Q", os.pread(self.fd, 8, 0))[0])

    def start_at(self, position: int) -> None:
        """As if so many bytes had been produced and consumed."""
        self.produced = position
        os.pwrite(self.fd, struct.pack("<Q", position), 0)
        self._publish()

    def produce(self, flags: int = 0, length: int = EVENT_DTYPE.itemsize) -> int:
        """Reserve a record, its running number in ``seq``; gives its position."""
        event = np.zeros(1, EVENT_DTYPE)
        self.written += 1
        event["seq"] = self.written
        payload = event.tobytes()[:length].ljust((length + 7) // 8 * 8, b"\xee")
        at = self.produced
        self._write(at, struct.pack("<II", length | flags, 0) + payload)
        self.produced += 8 + len(payload)
        self._publish()
        return at

    def header(self, at: int, word: int) -> None:
        """Change the first word of the record at ``at``."""
        self._write(at, struct.pack("<I", word))

    def _write(self, at: int, data: bytes) -> None:
        for number, byte in enumerate(data):
            place = (at + number) % self.size
            for copy in (0, self.size):
                os.pwrite(self.fd, bytes([byte]), 2 * PAGE + copy + place)

    def _publish(self) -> None:
        os.pwrite(self.fd, struct.pack("<Q", self.produced), PAGE)


@pytest.fixture
def fake() -> Iterator[FakeRing]:
    fake = FakeRing()
    yield fake
    os.close(fake.fd)


@pytest.fixture
def ring(fake: FakeRing) -> Iterator[Ring]:
    with Ring(fake.fd, fake.size) as ring:
        yield ring


def test_an_empty_ring(fake: FakeRing, ring: Ring) -> None:
    assert ring.read().size == 0
    assert ring.read().dtype == EVENT_DTYPE
    assert (ring.pending, fake.consumed) == (0, 0)


def test_records_come_once_and_in_order(fake: FakeRing, ring: Ring) -> None:
    for _record in range(23):
        fake.produce()
    assert ring.pending == 23 * RECORD
    assert ring.read()["seq"].tolist() == list(range(1, 24))
    assert fake.consumed == fake.produced == 23 * RECORD
    assert ring.read().size == 0
    assert ring.pending == 0


@pytest.mark.parametrize("start", [0, 8, PAGE - 8, PAGE - 40, PAGE - RECORD, 7 * PAGE - 16])
def test_records_that_wrap_lie_in_one_piece(fake: FakeRing, ring: Ring, start: int) -> None:
    fake.start_at(start)
    for _round in range(5):
        for _record in range(41):
            fake.produce()
        first = fake.written - 40
        assert ring.read()["seq"].tolist() == list(range(first, first + 41))
        assert fake.consumed == fake.produced


def test_a_full_ring(fake: FakeRing, ring: Ring) -> None:
    fake.start_at(3 * PAGE + 64)
    count = PAGE // RECORD
    for _record in range(count):
        fake.produce()
    assert ring.read()["seq"].tolist() == list(range(1, count + 1))


def test_a_busy_record_stops_the_read_and_comes_next_time(fake: FakeRing, ring: Ring) -> None:
    fake.produce()
    busy = fake.produce(BUSY)
    fake.produce()
    assert ring.read()["seq"].tolist() == [1]
    assert fake.consumed == busy
    assert ring.read().size == 0
    assert ring.pending == 2 * RECORD
    fake.header(busy, EVENT_DTYPE.itemsize)
    assert ring.read()["seq"].tolist() == [2, 3]


def test_what_was_read_is_a_copy(fake: FakeRing, ring: Ring) -> None:
    fake.produce()
    records = ring.read()
    for _record in range(PAGE // RECORD):
        fake.produce()
    assert records["seq"].tolist() == [1]


@pytest.mark.parametrize("length", [0, 32, 56, 63, 65, 72, 128, 4000])
def test_a_record_of_another_length_names_both(fake: FakeRing, ring: Ring, length: int) -> None:
    fake.start_at(PAGE // 2)
    fake.produce(length=length)
    for _record in range(0 if length > 1000 else 3):
        fake.produce()
    with pytest.raises(RingError, match=rf"ring record of {length} bytes, expected 64:"):
        ring.read()


def test_a_discarded_record_is_told_as_what_it_is(fake: FakeRing, ring: Ring) -> None:
    """Our probes discard nothing; '64 bytes, expected 64' would help nobody."""
    fake.produce(DISCARD)
    with pytest.raises(RingError, match=r"^discarded ring record of 64 bytes"):
        ring.read()


def test_the_error_survives_the_closing_of_the_ring(fake: FakeRing) -> None:
    """The error's traceback holds the reader's frame: nothing in it may pin the mapping."""
    fake.produce(length=128)
    with pytest.raises(RingError), Ring(fake.fd, fake.size) as ring:
        ring.read()


def test_a_wrong_record_behind_a_busy_one_waits(fake: FakeRing, ring: Ring) -> None:
    fake.produce()
    fake.produce(BUSY)
    fake.produce(length=128)
    assert ring.read()["seq"].tolist() == [1]


def test_no_ring_at_all() -> None:
    fd = os.memfd_create("nothing")
    try:
        with pytest.raises((OSError, ValueError)):
            Ring(fd, PAGE)
    finally:
        os.close(fd)
