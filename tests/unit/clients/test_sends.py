# SPDX-License-Identifier: GPL-2.0-or-later
"""The user side's log: what it costs, where it is kept, and what befalls it."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tracer.clients import sends
from tracer.clients.entry import SEND_DTYPE
from tracer.clients.log_file import BLOCK_ENTRIES
from tracer.clients.sends import SendLog
from tracer.clients.spool_reader import SpoolReader
from tracer.errors import TracerError

COST_BOUND_NS = 1000
NOBODY = 65534


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(path))
    return path


def add(log: SendLog, number: int) -> None:
    log.add(1000 + number, 2000 + number, number, 0, 66, number, 64, 16, 0, 0, 1, 30)


def test_the_layout_is_64_bytes_without_holes() -> None:
    assert SEND_DTYPE.itemsize == sends._ENTRY.size == 64
    assert SEND_DTYPE.isalignedstruct is False
    offset = 0
    for name in SEND_DTYPE.names or ():
        kind, at = SEND_DTYPE.fields[name][:2]  # type: ignore[index]
        assert at == offset
        assert at % kind.itemsize == 0, name
        offset += kind.itemsize


def test_every_field_arrives() -> None:
    log = SendLog()
    log.add(2**60, 2**60 + 1, 2**64 - 1, 7, 2**32 - 1, 2**32 - 2, 65600, 0xFFFF, 95, 3, 2, 31)
    (entry,) = log.entries()
    assert entry["begin_ns"] == 2**60
    assert entry["end_ns"] == 2**60 + 1
    assert entry["token"] == 2**64 - 1
    assert entry["intended_ns"] == 7
    assert entry["tid"] == threading.get_native_id()
    assert entry["tgid"] == os.getpid()
    assert entry["portid"] == 2**32 - 1
    assert entry["seq"] == 2**32 - 2
    assert entry["size"] == 65600
    assert entry["type"] == 0xFFFF
    assert entry["errno"] == 95
    assert [entry[name] for name in ("channel", "kind", "proto", "pad")] == [3, 2, 31, 0]


def test_an_entry_costs_well_under_a_microsecond() -> None:
    log = SendLog()
    add(log, 0)
    rounds = []
    for _ in range(7):
        # Of this thread's own: what else the machine does is no cost of an entry.
        begin = time.thread_time_ns()
        for number in range(10007):
            add_direct(log, begin, number)
        rounds.append((time.thread_time_ns() - begin) / 10007)
    cost = statistics.median(rounds)
    print(f"send log: {cost:.0f} ns per entry")
    assert cost < COST_BOUND_NS


def add_direct(log: SendLog, begin: int, number: int) -> None:
    log.add(begin, begin, number, 0, 66, number, 64, 16, 0, 0, 1, 30)


def test_nothing_is_kept_per_entry() -> None:
    import tracemalloc

    log = SendLog()
    add(log, 0)
    tracemalloc.start()
    for number in range(1009):
        add(log, number)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1000


def test_a_thread_has_a_log_of_its_own() -> None:
    mine, theirs = SendLog.for_thread(), []
    assert SendLog.for_thread() is mine
    thread = threading.Thread(target=lambda: theirs.append(SendLog.for_thread()))
    thread.start()
    thread.join()
    assert theirs[0] is not mine


def test_in_memory_the_last_block_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sends.SPOOL_VARIABLE, raising=False)
    log = SendLog()
    for number in range(BLOCK_ENTRIES + 23):
        add(log, number)
    assert log.entries()["seq"].tolist() == [BLOCK_ENTRIES + n for n in range(23)]


def test_a_forked_child_writes_its_own_file(spool: Path) -> None:
    log = SendLog.for_thread()
    log.forget()
    add(log, 1)
    child = os.fork()
    if child == 0:
        add(SendLog.for_thread(), 2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    add(log, 3)
    entries = SpoolReader(spool).read()
    by_process = {int(e["seq"]): int(e["tgid"]) for e in entries}
    assert by_process == {1: os.getpid(), 2: child, 3: os.getpid()}
    log.forget()


def test_a_log_follows_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sends.SPOOL_VARIABLE, raising=False)
    log = SendLog()
    add(log, 1)
    log.follow_spool()
    assert log.entries()["seq"].tolist() == [1]
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(tmp_path))
    log.follow_spool()
    add(log, 2)
    log.follow_spool()
    add(log, 3)
    assert SpoolReader(tmp_path).read()["seq"].tolist() == [2, 3]


def test_a_killed_program_leaves_its_entries(spool: Path) -> None:
    script = """if True:
        import os, signal
        from tracer.clients.sends import SendLog
        for number in range(23):
            SendLog.for_thread().add(1, 2, number, 0, 0, number, 0, 0, 0, 0, 0, 30)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], timeout=300)
    assert SpoolReader(spool).read()["seq"].tolist() == list(range(23))


def test_a_spool_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(TracerError, match="No such file or directory; unset TRACER_SENDS"):
        add(SendLog(), 0)


def test_files_are_the_user_s_alone(spool: Path) -> None:
    add(SendLog(), 0)
    (directory,) = spool.iterdir()
    (file,) = directory.iterdir()
    assert directory.name == str(os.geteuid())
    assert (directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("squat", ["directory", "link", "pipe", "file"])
def test_a_name_that_somebody_else_has_taken(spool: Path, squat: str, tmp_path: Path) -> None:
    """A stranger who takes the user's name before them neither gets the log nor prevents it."""
    place = spool / str(os.geteuid())
    if squat == "directory":
        place.mkdir()
        os.chown(place, NOBODY, -1)
    elif squat == "link":
        place.symlink_to(tmp_path)
    elif squat == "pipe":
        os.mkfifo(place)
    else:
        place.touch()
    log = SendLog()
    add(log, 7)
    (file,) = (spool / f"{os.geteuid()}.1").iterdir()
    assert file.name == f"{os.getpid()}-{threading.get_native_id()}-0.sends"
    assert SpoolReader(spool).read()["seq"].tolist() == [7]


def test_a_spool_that_goes_away_leaves_the_program_alone(spool: Path) -> None:
    """A recorder that ends takes it along; the program goes on, its log stays in memory."""
    log = SendLog()
    add(log, 0)
    shutil.rmtree(spool)
    for number in range(1, BLOCK_ENTRIES + 3):
        add(log, number)
    assert log.entries()["seq"].tolist() == [BLOCK_ENTRIES + n for n in range(3)]
