# SPDX-License-Identifier: GPL-2.0-or-later
"""The spool's reader: each entry once, and nothing from what is not a traced program's log."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tracer.clients import sends
from tracer.clients import spool_reader as spools
from tracer.clients.entry import SEND_DTYPE
from tracer.clients.log_file import BLOCK_BYTES, BLOCK_ENTRIES
from tracer.clients.sends import SendLog
from tracer.clients.spool_reader import SpoolReader

NOBODY = 65534
DEADLINE = 300.0


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    path.chmod(0o1733)
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(path))
    return path


def add(log: SendLog, number: int) -> None:
    log.add(1000 + number, 2000 + number, number, 0, 66, number, 64, 16, 0, 0, 1, 30)


def log_files(spool: Path) -> list[Path]:
    return sorted(spool.glob("*/*"))


def as_nobody(work: Callable[[], None]) -> int:
    """Do it in a child that has become another user; its process id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setuid(NOBODY)
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    return child


def in_a_child(work: Callable[[], None]) -> None:
    """Do it in a child, which it may kill."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def own(spool: Path) -> Path:
    """The caller's directory, with a log of one entry of this thread."""
    log = SendLog()
    add(log, 1)
    return spool / str(os.geteuid())


def entry(tgid: int, tid: int, number: int = 0) -> bytes:
    return sends._ENTRY.pack(1, 2, 0, 0, tgid << 32 | tid, 0, number, 0, 0, 0, 0, 0, 30, 1)


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


def read_in_time(reader: SpoolReader) -> np.ndarray:
    """What the reader reads; fails when it does not come back."""
    got: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: got.append(reader.read()), daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert got, f"the reader does not come back in {DEADLINE} s"
    return got[0]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def make_link(path: Path) -> None:
    target = path.parents[2] / "secret"
    target.write_bytes(entry(os.getpid(), 1))
    path.symlink_to(target)


def make_second_link(path: Path) -> None:
    target = path.parents[2] / "linked"
    target.write_bytes(entry(os.getpid(), 1))
    path.hardlink_to(target)


def make_directory(path: Path) -> None:
    path.mkdir()


def make_huge(path: Path) -> None:
    path.write_bytes(entry(os.getpid(), 1))
    os.truncate(path, 1 << 40)


def make_of_another_process(path: Path) -> None:
    path.write_bytes(entry(1, 1))


ODD = [
    (make_pipe, "not a regular file"),
    (make_socket, "No such device or address"),
    (make_link, "Too many levels of symbolic links"),
    (make_second_link, "linked from elsewhere"),
    (make_directory, "not a regular file"),
    (make_huge, "larger than a log"),
    (make_of_another_process, "entries of another thread"),
]


@pytest.mark.parametrize(("make", "why"), ODD)
def test_what_is_no_log_is_refused_and_told(
    spool: Path, make: Callable[[Path], None], why: str
) -> None:
    """Under a log's name, in the user's own directory; the logs beside it are read."""
    directory = own(spool)
    name = f"{os.getpid()}-1-0.sends"
    make(directory / name)
    reader = SpoolReader(spool)
    assert read_in_time(reader)["seq"].tolist() == [1]
    assert reader.odd == {(os.geteuid(), f"{directory.name}/{name}"): why}
    assert read_in_time(reader).size == 0
    assert len(reader.odd) == 1, "counted once"


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_directory, make_huge])
def test_a_name_that_is_no_log_s(spool: Path, make: Callable[[Path], None]) -> None:
    directory = own(spool)
    make(directory / "x.sends")
    reader = SpoolReader(spool)
    assert read_in_time(reader)["seq"].tolist() == [1]
    assert list(reader.odd.values()) == ["not named like a log"]


@pytest.mark.parametrize("make", [make_pipe, make_link, make_socket, make_huge])
def test_what_is_no_directory_of_a_user(spool: Path, make: Callable[[Path], None]) -> None:
    own(spool)
    (spool / "deep").mkdir()
    make(spool / "x.sends")
    reader = SpoolReader(spool)
    assert read_in_time(reader)["seq"].tolist() == [1]
    assert [name for _user, name in reader.odd] == ["x.sends"]


def test_another_user_s_log_is_read_only_if_that_user_is_traced(spool: Path) -> None:
    child = as_nobody(lambda: add(SendLog(), 5))
    refusing = SpoolReader(spool, lambda tgid, uid: False)
    assert refusing.read().size == 0
    name = f"{NOBODY}/{child}-{child}-0.sends"
    assert refusing.odd == {(NOBODY, name): "of no traced process of this user"}
    asked: list[tuple[int, int]] = []
    reader = SpoolReader(spool, lambda tgid, uid: not asked.append((tgid, uid)))  # type: ignore[func-returns-value]
    assert reader.read()["seq"].tolist() == [5]
    assert asked == [(child, NOBODY)]


def test_a_forgery_in_another_s_name(spool: Path) -> None:
    """Nobody writes what the caller's process is said to have logged: the owner tells."""
    tgid = os.getpid()

    def forge() -> None:
        directory = spool / str(os.getuid())
        directory.mkdir(0o700)
        (directory / f"{tgid}-{tgid}-0.sends").write_bytes(entry(tgid, tgid))

    as_nobody(forge)
    reader = SpoolReader(spool, lambda tgid, uid: (tgid, uid) == (os.getpid(), os.geteuid()))
    assert reader.read().size == 0
    assert [user for user, _name in reader.odd] == [NOBODY]


def test_a_file_given_into_another_s_directory(spool: Path) -> None:
    directory = own(spool)
    given = directory / f"{os.getpid()}-2-0.sends"
    given.write_bytes(entry(os.getpid(), 2))
    os.chown(given, NOBODY, -1)
    reader = SpoolReader(spool)
    assert reader.read()["seq"].tolist() == [1]
    assert list(reader.odd.values()) == ["of another user than its directory"]


def test_others_can_neither_list_nor_enter(spool: Path) -> None:
    directory = own(spool)

    def look() -> None:
        for path in (spool, directory):
            with pytest.raises(PermissionError):
                os.listdir(path)
        with pytest.raises(PermissionError):
            (directory / "1-1-0.sends").touch()
        with pytest.raises(PermissionError):
            directory.rename(spool / "away")

    as_nobody(look)


def test_entries_of_another_thread_are_left_out(spool: Path) -> None:
    directory = own(spool)
    tgid = os.getpid()
    mixed = entry(tgid, 9, 1) + entry(tgid, 8, 2) + entry(1, 9, 3) + entry(tgid, 9, 4)
    (directory / f"{tgid}-9-0.sends").write_bytes(mixed)
    reader = SpoolReader(spool)
    assert sorted(reader.read()["seq"].tolist()) == [1, 1, 4]
    assert list(reader.odd.values()) == ["entries of another thread"]


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


def test_names_are_told_in_printable_letters(spool: Path) -> None:
    directory = own(spool)
    name = b"\x1b[2J\xff" + b"n" * 200
    (directory / os.fsdecode(name)).touch()
    reader = SpoolReader(spool)
    reader.read()
    ((_user, told),) = reader.odd
    assert told.startswith(f"{directory.name}/\\x1b[2J\\udcffnn")
    assert len(told) == 80


def test_many_odd_files_cost_a_bounded_memory(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "ODD_LIMIT", 10)
    monkeypatch.setattr(spools, "FILES_LIMIT", 20)
    directory = own(spool)
    for number in range(30):
        (directory / f"x{number}").touch()
    reader = SpoolReader(spool)
    reader.read()
    assert len(reader.odd) == 10
    assert (os.geteuid(), directory.name) in reader.odd


def test_no_descriptor_is_left_open(spool: Path) -> None:
    directory = own(spool)
    make_pipe(directory / "1-1-0.sends")
    make_link(directory / "1-2-0.sends")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        reader = SpoolReader(spool)
        reader.read()
        reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def settled(reader: SpoolReader, directory: Path) -> None:
    """Read until the reader would list neither the directory nor the spool again."""
    deadline = time.monotonic() + DEADLINE
    while not (
        reader._places[directory.name].listing.is_current(directory.stat())
        and reader._listing.is_current(directory.parent.stat())
    ):
        assert reader.read().size == 0
        assert time.monotonic() < deadline


def write(directory: Path, tid: int, number: int = 0, entries: int = 0) -> Path:
    """A log of full size, with so many entries."""
    tgid = os.getpid()
    data = b"".join(entry(tgid, tid, n) for n in range(entries))
    path = directory / f"{tgid}-{tid}-{number}.sends"
    path.write_bytes(data.ljust(BLOCK_BYTES, b"\0"))
    return path


def append(path: Path, number: int) -> None:
    """One more entry in a log."""
    tgid, tid = map(int, path.name.split("-")[:2])
    with path.open("r+b") as file:
        file.seek(number * 64)
        file.write(entry(tgid, tid, number))


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
