# SPDX-License-Identifier: GPL-2.0-or-later
"""The spool's reader gives each entry once."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from spool_builder import DEADLINE, add, entry, log_files, own

from tracer.clients import spool_reader as spools
from tracer.clients.entry import SEND_DTYPE
from tracer.clients.log_file import BLOCK_BYTES, BLOCK_ENTRIES
from tracer.clients.sends import SendLog
from tracer.clients.spool_reader import SpoolReader


def test_the_reader_gives_each_entry_once(spool: Path) -> None:
    log, reader = SendLog(), SpoolReader(spool)
    assert len(reader.read()) == 0
    for number in range(23):
        add(log, number)
    assert reader.read()["seq"].tolist() == list(range(23))
    assert len(reader.read()) == 0
    for number in range(23, 124):
        add(log, number)
    assert reader.read()["seq"].tolist() == list(range(23, 124))


def test_full_files_are_followed_by_others_and_removed(spool: Path) -> None:
    log, reader = SendLog(), SpoolReader(spool)
    count = 2 * BLOCK_ENTRIES + 101
    got = []
    for number in range(count):
        add(log, number)
        if number == BLOCK_ENTRIES // 3:
            got.append(reader.read())
    assert len(list(log_files(spool))) == 3
    got.append(reader.read())
    assert np.concatenate(got)["seq"].tolist() == list(range(count))
    name = f"{os.getpid()}-{threading.get_native_id()}-2.sends"
    assert [f.name for f in log_files(spool)] == [name]
    assert len(reader.read()) == 0


def test_a_half_written_entry_waits(spool: Path) -> None:
    log, reader = SendLog(), SpoolReader(spool)
    add(log, 0)
    add(log, 1)
    (path,) = log_files(spool)
    with path.open("r+b") as file:
        file.seek(64 + 60)
        file.write(struct.pack("<I", 0))
        file.flush()
        assert reader.read()["seq"].tolist() == [0]
        file.seek(64 + 60)
        file.write(struct.pack("<I", 1))
    assert reader.read()["seq"].tolist() == [1]


def test_a_reader_beside_many_writers_misses_nothing(spool: Path) -> None:
    def write() -> None:
        for number in range(5003):
            add(SendLog.for_thread(), number)

    threads = [threading.Thread(target=write) for _ in range(5)]
    reader, got = SpoolReader(spool), []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        got.append(reader.read())
    got.append(reader.read())
    entries = np.concatenate(got)
    assert len(entries) == 5 * 5003
    for tid in np.unique(entries["tid"]):
        mine = entries["seq"][entries["tid"] == tid]
        assert mine.tolist() in ([*range(5003)], [*range(5003)] * 2)  # a tid may be used again


def test_a_thread_s_files_come_in_the_order_of_their_numbers(spool: Path) -> None:
    """Eleven files that nobody read meanwhile: the tenth is not the second."""
    log = SendLog()
    count = 10 * BLOCK_ENTRIES + 1
    for number in range(count):
        add(log, number)
    assert SpoolReader(spool).read()["seq"].tolist() == list(range(count))


@pytest.mark.parametrize("size", [0, 1, 63, 65])
def test_a_file_that_is_being_made_is_not_odd(spool: Path, size: int) -> None:
    directory = own(spool)
    (directory / f"{os.getpid()}-1-0.sends").write_bytes(b"\0" * size)
    reader = SpoolReader(spool)
    assert reader.read()["seq"].tolist() == [1]
    assert reader.odd == {}


def test_files_may_vanish(spool: Path) -> None:
    directory = own(spool)
    reader = SpoolReader(spool)
    assert reader.read()["seq"].tolist() == [1]
    for path in directory.iterdir():
        path.unlink()
    assert len(reader.read()) == 0
    directory.rmdir()
    assert len(reader.read()) == 0
    spool.rmdir()
    assert len(reader.read()) == 0
    assert reader.odd == {}


def test_one_read_has_a_bound_and_the_next_goes_on(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "READ_LIMIT", 100)
    directory = own(spool)
    tgid = os.getpid()
    for tid in range(2, 5):
        whole = b"".join(entry(tgid, tid, n) for n in range(BLOCK_ENTRIES))
        (directory / f"{tgid}-{tid}-0.sends").write_bytes(whole)
    reader, got = SpoolReader(spool), []
    while len(block := reader.read()):
        assert len(block) < 100 + 1024
        got.append(block)
    entries = np.concatenate(got)
    assert len(entries) == 1 + 3 * BLOCK_ENTRIES
    for tid in range(2, 5):
        mine = entries["seq"][entries["tid"] == tid]
        assert mine.tolist() == list(range(BLOCK_ENTRIES))


def test_the_rest_has_no_bound_but_what_is_there(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "READ_LIMIT", 2)
    own(spool)
    log, reader = SendLog(), SpoolReader(spool)
    for number in range(5000):
        add(log, number)
    first = reader.read()
    rest = []
    for entries in reader.rest():
        rest.append(entries)
        add(log, 5000)  # a program that goes on keeps nobody
    total = len(first) + sum(len(entries) for entries in rest)
    assert 5001 <= total <= 5001 + len(rest)


def test_an_entry_that_is_written_while_it_is_read_is_whole() -> None:
    """The first half was read before it was written, the second half with the seal after that."""
    memory = bytearray(BLOCK_BYTES)

    def read(size: int, offset: int) -> bytes:
        before = bytes(memory[offset : offset + min(size, 16)])
        memory[:64] = entry(7, 8, 9)
        return before + bytes(memory[offset + len(before) : offset + size])

    memory[:16] = entry(7, 8)[:8] + struct.pack("<Q", 5)  # of an end that is not the entry's
    assert np.concatenate(list(spools._complete_from(read, 0))).tobytes() == entry(7, 8, 9)


def test_a_program_that_is_killed_anywhere_leaves_all_entries_before(spool: Path) -> None:
    """Read while it runs through several files, killed, and read to the end."""
    script = """if True:
        from itertools import count
        from tracer.clients.sends import SendLog
        log = SendLog.for_thread()
        for number in count():
            log.add(1, 2, number, 0, 0, number & 0xFFFFFFFF, 0, 0, 0, 0, 0, 30)
    """
    program = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3])
    reader, got = SpoolReader(spool), 0
    deadline = time.monotonic() + DEADLINE
    try:
        while got < 5 * BLOCK_ENTRIES + 1009:
            assert time.monotonic() < deadline
            entries = reader.read()
            assert entries["token"].tolist() == list(range(got, got + len(entries)))
            got += len(entries)
    finally:
        program.kill()
        program.wait()
    for entries in reader.rest():
        assert entries["token"].tolist() == list(range(got, got + len(entries)))
        got += len(entries)
    (last,) = log_files(spool)
    assert got % BLOCK_ENTRIES == np.count_nonzero(np.fromfile(last, SEND_DTYPE)["sealed"])
    assert reader.odd == {}
