# SPDX-License-Identifier: GPL-2.0-or-later
"""The ring's reader on a ring made of a memfd."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tracer.attach.ring import Ring
from tracer.event import RECORD_DTYPE

PAGE = mmap.PAGESIZE
RECORD = 8 + RECORD_DTYPE.itemsize
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

    def produce(self, flags: int = 0, length: int = RECORD_DTYPE.itemsize) -> int:
        """Reserve a record, its running number in its first word; gives its position."""
        record = np.zeros(1, RECORD_DTYPE)
        self.written += 1
        record["words"][0, 0] = self.written
        payload = record.tobytes()[:length].ljust((length + 7) // 8 * 8, b"\xee")
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


def numbers(records: npt.NDArray[np.void]) -> list[int]:
    """The running numbers of records that were read."""
    return records["words"][:, 0].tolist()


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
    assert ring.read().dtype == RECORD_DTYPE
    assert (ring.pending, fake.consumed) == (0, 0)


def test_records_come_once_and_in_order(fake: FakeRing, ring: Ring) -> None:
    for _record in range(23):
        fake.produce()
    assert ring.pending == 23 * RECORD
    assert numbers(ring.read()) == list(range(1, 24))
    assert fake.consumed == fake.produced == 23 * RECORD
    assert ring.read().size == 0
    assert ring.pending == 0


@pytest.mark.parametrize("start", [0, 8, PAGE - 8, PAGE - 40, PAGE - RECORD, 7 * PAGE - 16])
def test_records_that_wrap_lie_in_one_piece(fake: FakeRing, ring: Ring, start: int) -> None:
    fake.start_at(start)
    for _round in range(5):
        for _record in range(23):
            fake.produce()
        first = fake.written - 22
        assert numbers(ring.read()) == list(range(first, first + 23))
        assert fake.consumed == fake.produced


def test_a_full_ring(fake: FakeRing, ring: Ring) -> None:
    fake.start_at(3 * PAGE + 64)
    count = PAGE // RECORD
    for _record in range(count):
        fake.produce()
    assert numbers(ring.read()) == list(range(1, count + 1))


def test_a_busy_record_stops_the_read_and_comes_next_time(fake: FakeRing, ring: Ring) -> None:
    fake.produce()
    busy = fake.produce(BUSY)
    fake.produce()
    assert numbers(ring.read()) == [1]
    assert fake.consumed == busy
    assert ring.read().size == 0
    assert ring.pending == 2 * RECORD
    fake.header(busy, RECORD_DTYPE.itemsize)
    assert numbers(ring.read()) == [2, 3]


def test_what_was_read_is_a_copy(fake: FakeRing, ring: Ring) -> None:
    fake.produce()
    records = ring.read()
    for _record in range(PAGE // RECORD):
        fake.produce()
    assert numbers(records) == [1]


@pytest.mark.parametrize("length", [0, 1, 64, 120, 127, 129, 136, 256, 1000, 4000])
def test_a_record_of_another_length_costs_itself_only(
    fake: FakeRing, ring: Ring, length: int
) -> None:
    fake.start_at(PAGE // 2)
    for _record in range(0 if length > 1000 else 3):
        fake.produce()
    before = fake.written
    odd = fake.produce(length=length)
    behind = PAGE - (fake.produced - PAGE // 2)
    for _record in range(behind // RECORD):
        fake.produce()
    expected = [n for n in range(1, fake.written + 1) if n != before + 1]
    assert numbers(ring.read()) == expected
    assert odd < fake.consumed == fake.produced
    assert ring.odd.count == 1
    assert ring.odd.first.startswith(f"a record of {length} bytes, expected 128:")


def test_the_first_record_of_another_length_is_told(fake: FakeRing, ring: Ring) -> None:
    for length in (256, 128, 64, 24):
        fake.produce(length=length)
    assert numbers(ring.read()) == [2]
    assert (ring.odd.count, ring.odd.first[:21]) == (3, "a record of 256 bytes")


def test_a_discarded_record_is_told_as_what_it_is(fake: FakeRing, ring: Ring) -> None:
    """Our probes discard nothing; '128 bytes, expected 128' would help nobody."""
    fake.produce(DISCARD)
    fake.produce()
    assert numbers(ring.read()) == [2]
    assert ring.odd.first.startswith("a discarded record of 128 bytes")


def test_a_length_beyond_what_was_produced_ends_the_walk(fake: FakeRing, ring: Ring) -> None:
    """No kernel writes that; should one, the next read begins where it writes next."""
    fake.produce()
    fake.header(fake.produce(), 1 << 20)
    assert numbers(ring.read()) == [1]
    assert (ring.odd.count, fake.consumed) == (1, fake.produced)
    fake.produce()
    assert numbers(ring.read()) == [3]


def test_headers_of_an_earlier_round_are_not_looked_at(fake: FakeRing, ring: Ring) -> None:
    """Behind the producer's position lie records that were read one round before."""
    for _record in range(2 * (PAGE // RECORD)):
        fake.produce()
        assert ring.read().size == 1
    assert ring.odd.count == 0


def test_a_wrong_record_behind_a_busy_one_waits(fake: FakeRing, ring: Ring) -> None:
    fake.produce()
    fake.produce(BUSY)
    fake.produce(length=256)
    assert numbers(ring.read()) == [1]
    assert ring.odd.count == 0


def test_no_ring_at_all() -> None:
    fd = os.memfd_create("nothing")
    try:
        with pytest.raises((OSError, ValueError)):
            Ring(fd, PAGE)
    finally:
        os.close(fd)


RING, RECORDS, FACTOR = 1 << 16, 1_000_000, 0x9E37_79B9_7F4A_7C15
WORDS = RECORD_DTYPE.itemsize // 8


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """programs/ring_writer.c, which writes as the kernel does."""
    program = tmp_path_factory.mktemp("writer") / "ring_writer"
    source = Path(__file__).parents[1] / "programs" / "ring_writer.c"
    options = ["-Wall", "-Wextra", "-Werror", "-O2", "-pthread"]
    subprocess.run(["gcc", *options, "-o", program, source], check=True)
    return program


def map_twice(name: str, size: int, fd: int) -> None:
    """Let the second half of the mapped data show the same memory as the first: one ring."""
    length = PAGE + 2 * size
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(number, 16) for number in line.split()[0].split("-"))
        if f"/memfd:{name} " in line and end - start == length:
            break
    else:
        raise AssertionError(f"{name} is not mapped")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    fixed, second = 0x10, start + PAGE + size
    flags = mmap.MAP_SHARED | fixed
    assert libc.mmap(second, size, mmap.PROT_READ, flags, fd, 2 * PAGE) == second


@pytest.mark.parametrize("threads", [2, 4])
def test_no_record_is_taken_before_it_is_written(writer: Path, threads: int) -> None:
    """Each comes once, in order and whole, while threads write and finish them out of order."""
    fd = os.memfd_create("stress")
    os.ftruncate(fd, 2 * PAGE + 2 * RING)
    torn = count = reads = 0
    deadline = time.monotonic() + 300
    with Ring(fd, RING) as ring:
        map_twice("stress", RING, fd)
        arguments = [str(number) for number in (fd, RING, RECORDS, threads)]
        with subprocess.Popen([writer, *arguments], pass_fds=[fd]) as writing:
            try:
                while count < RECORDS and time.monotonic() < deadline:
                    words = ring.read()["words"]
                    number = np.arange(WORDS * count, WORDS * (count + len(words)), dtype=np.uint64)
                    expected = (number * np.uint64(FACTOR)).reshape(-1, WORDS)
                    torn += int((words != expected).any(axis=1).sum())
                    count += len(words)
                    reads += 1
            finally:
                writing.kill()
        odd = ring.odd
    os.close(fd)
    assert (count, torn, odd.count) == (RECORDS, 0, 0), f"{torn} torn in {reads} reads"
