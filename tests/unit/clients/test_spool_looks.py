# SPDX-License-Identifier: GPL-2.0-or-later
"""The spool's reader looks often: it opens what is new, and nothing that it knows."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from spool_builder import DEADLINE, append, entry, in_a_child, make_link, own, write

from tracer.clients import spool_reader as spools
from tracer.clients.log_file import BLOCK_ENTRIES
from tracer.clients.spool_reader import SpoolReader


def settled(reader: SpoolReader, directory: Path) -> None:
    """Read until the reader would list neither the directory nor the spool again."""
    deadline = time.monotonic() + DEADLINE
    while not (
        reader._places[directory.name].listing.is_current(directory.stat())
        and reader._listing.is_current(directory.parent.stat())
    ):
        assert reader.read().size == 0
        assert time.monotonic() < deadline


def calls_of_a_look(reader: SpoolReader) -> list[str]:
    """The functions of C that a look calls which finds nothing."""
    called: list[str] = []

    def note(_frame: object, event: str, what: object) -> None:
        if event == "c_call":
            called.append(what.__name__)  # type: ignore[attr-defined]

    sys.setprofile(note)
    try:
        nothing = reader.read()
    finally:
        sys.setprofile(None)
    assert nothing.size == 0
    return called


def test_an_idle_look_opens_nothing_and_finds_what_is_new(spool: Path) -> None:
    directory = own(spool)
    logs = [write(directory, tid, entries=3) for tid in range(2, 13)]
    reader = SpoolReader(spool)
    assert len(reader.read()) == 1 + 11 * 3
    settled(reader, directory)
    for number in range(3, 6):
        called = calls_of_a_look(reader)
        assert called.count("pwritev") == called.count("pread") == 1, "one look at all logs"
        assert not {"open", "scandir"}.intersection(called), called
        append(logs[4], number)
        append(logs[9], number)
        assert reader.read()["tid"].tolist() == [6, 11]


def test_no_new_file_is_missed_within_a_tick_of_the_file_system_s_clock(spool: Path) -> None:
    """Files that are made so fast that a directory may show the same time for several."""
    directory = own(spool)
    reader = SpoolReader(spool)
    assert reader.read()["seq"].tolist() == [1]
    times = set()
    for tid in range(100_000, 100_101):
        path = directory / f"{os.getpid()}-{tid}-0.sends"
        path.write_bytes(entry(os.getpid(), tid))
        assert reader.read()["tid"].tolist() == [tid]
        times.add(directory.stat().st_ctime_ns)
    print(f"101 files, {len(times)} times of change")


def test_a_directory_that_has_just_changed_is_listed_again(spool: Path) -> None:
    """Until the clock has moved on, a further change may show the same time.

    Kernels from 6.13 on show another one, so that there the test above proves nothing.
    """
    directory = own(spool)
    listing, tried, made = spools._Listing(), 0, 0
    fd = os.open(directory, os.O_RDONLY)
    deadline = time.monotonic() + DEADLINE
    while tried < 23:
        assert time.monotonic() < deadline
        made += 1
        (directory / f"{os.getpid()}-2-{made}.sends").touch()
        changed = listing.begin(fd).st_ctime_ns
        current = listing.is_current(directory.stat())
        if time.clock_gettime_ns(spools._REALTIME_COARSE) <= changed:
            tried += 1
            assert not current
    while not listing.is_current(directory.stat()):
        assert time.monotonic() < deadline
        listing.begin(fd)
    os.close(fd)


def test_the_rest_does_not_believe_in_times(spool: Path) -> None:
    """A file was added, and the directory looks as if it was not."""
    directory = own(spool)
    reader = SpoolReader(spool)
    assert reader.read()["seq"].tolist() == [1]
    settled(reader, directory)
    write(directory, 5, entries=1)
    now = directory.stat()
    reader._places[directory.name].listing._state = (now.st_dev, now.st_ino, now.st_ctime_ns)
    assert reader.read().size == 0
    assert [e["tid"].tolist() for e in reader.rest()] == [[5]]


def test_what_becomes_odd_is_told_at_the_end(spool: Path) -> None:
    directory = own(spool)
    log = write(directory, 5, entries=1)
    reader = SpoolReader(spool)
    assert len(reader.read()) == 2
    (spool.parent / "second").hardlink_to(log)
    assert list(reader.rest()) == []
    assert list(reader.odd.values()) == ["linked from elsewhere"]


@pytest.mark.parametrize("number", [1, 2, 1024])
def test_a_log_that_shrinks_kills_nobody(spool: Path, number: int) -> None:
    """To touch what was mapped beyond the end would kill the reader (SIGBUS)."""
    directory = own(spool)
    logs = [write(directory, tid, entries=number) for tid in range(2, 13)]

    def read() -> None:
        reader = SpoolReader(spool)
        assert len(reader.read()) == 1 + 11 * number
        os.truncate(logs[4], 0)
        append(logs[2], number)
        append(logs[9], number)
        assert reader.read()["tid"].tolist() == [4, 11]
        assert reader.read().size == 0
        append(logs[4], number)
        assert reader.read()["tid"].tolist() == [6]
        os.truncate(logs[9], 64)
        assert list(reader.rest()) == []
        assert reader.odd == {}

    in_a_child(read)


def test_another_file_under_a_log_s_name_is_another_file(spool: Path) -> None:
    directory = own(spool)
    log = write(directory, 5, entries=3)
    other = write(directory, 6, entries=0)
    reader = SpoolReader(spool)
    assert len(reader.read()) == 1 + 3
    other.write_bytes(entry(os.getpid(), 5, 77))
    other.rename(log)
    assert reader.read()["seq"].tolist() == [77]
    log.unlink()
    make_link(log)
    assert reader.read().size == 0
    assert list(reader.odd.values()) == ["Too many levels of symbolic links"]


def test_a_directory_that_becomes_a_link_leads_nowhere(spool: Path) -> None:
    """Neither is read there nor removed what is full."""
    directory = own(spool)
    log = write(directory, 5, entries=BLOCK_ENTRIES - 1)
    reader = SpoolReader(spool)
    assert len(reader.read()) == BLOCK_ENTRIES
    settled(reader, directory)
    append(log, BLOCK_ENTRIES - 1)
    directory.rename(spool.parent / "elsewhere")
    directory.symlink_to(spool.parent / "elsewhere")
    assert reader.read().size == 0
    assert list(reader.odd.values()) == ["Too many levels of symbolic links"]
    assert (spool.parent / "elsewhere" / log.name).exists()


def test_more_logs_than_are_mapped(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "MAPPED_LIMIT", 3)
    directory = own(spool)
    logs = [write(directory, tid, entries=3) for tid in range(2, 13)]
    reader = SpoolReader(spool)
    assert len(reader.read()) == 1 + 11 * 3
    for round_ in range(3, 8):
        for log in logs:
            append(log, round_)
        assert reader.read()["tid"].tolist() == list(range(2, 13))
    assert reader.read().size == 0
    assert sum(log.block is not None for log in reader._places[directory.name].logs.values()) == 3


def test_a_log_takes_no_descriptor(spool: Path) -> None:
    directory = own(spool)
    reader = SpoolReader(spool)
    before = len(os.listdir("/proc/self/fd"))
    for tid in range(2, 103):
        write(directory, tid, entries=1)
    assert len(reader.read()) == 102
    assert len(os.listdir("/proc/self/fd")) == before
    reader.close()
