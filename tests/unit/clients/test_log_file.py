# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of the log, as a program makes them: what they take from it, and what they leave."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer.clients import sends
from tracer.clients.log_file import BLOCK_BYTES, BLOCK_ENTRIES, WINDOW_BYTES, Block, new_file
from tracer.clients.sends import SendLog

DEADLINE = 300.0
ROOT = Path(__file__).parents[3]


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(path))
    return path


@pytest.fixture
def other_thread() -> Iterator[list[int]]:
    """A thread that counts in a list how often it got the interpreter's lock, and wants it again.

    It would have to wait a minute before somebody who keeps the lock is asked for it.
    """
    turns, over = [0], threading.Event()

    def count() -> None:
        while not over.is_set():
            turns[0] += 1
            time.sleep(0)  # gives the interpreter's lock away

    thread, interval = threading.Thread(target=count), sys.getswitchinterval()
    thread.start()
    sys.setswitchinterval(60)
    # It waits by the new interval when it has had a turn since.
    seen, deadline = turns[0], time.monotonic() + DEADLINE
    while turns[0] < seen + 2:
        time.sleep(0)  # the same; a poll with a deadline
        assert time.monotonic() < deadline
    yield turns
    over.set()
    thread.join()
    sys.setswitchinterval(interval)


def add(log: SendLog, number: int) -> None:
    log.add(1000 + number, 2000 + number, number, 0, 66, number, 64, 16, 0, 0, 1, 30)


def run(script: str, **limits: int) -> subprocess.CompletedProcess[str]:
    """What a program of its own does, with limits on its resources."""

    def limit() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, preexec_fn=limit,
    )  # fmt: skip


def test_a_new_file_does_not_let_another_thread_run(spool: Path, other_thread: list[int]) -> None:
    """Who lets go of the lock waits for it afterwards, 5 ms if the other thread is busy."""
    log = SendLog()
    add(log, 0)  # the first of all looks for the directory, and may let go of the lock
    before = other_thread[0]
    for number in range(1, 3 * BLOCK_ENTRIES + 1):
        add(log, number)
    assert other_thread[0] == before
    assert len(list(spool.glob("*/*"))) == 4


def test_a_log_takes_no_descriptor(spool: Path) -> None:
    before = os.listdir("/proc/self/fd")
    logs = [SendLog() for _ in range(11)]
    for log in logs:
        add(log, 0)
    assert os.listdir("/proc/self/fd") == before


def test_a_program_that_closes_all_descriptors_keeps_those_it_opens_then(spool: Path) -> None:
    """As a daemon does. A log that had one would close what has its number now."""
    script = f"""if True:
        import os
        from tracer.clients.sends import SendLog
        def add():
            SendLog.for_thread().add(1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 30)
        add()
        os.closerange(3, 1000)
        mine = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
        for _ in range({BLOCK_ENTRIES}):
            add()
        for fd in mine:
            os.fstat(fd)
    """
    done = run(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(spool.glob("*/*"))) == 2


def test_a_full_disk_is_told_and_leaves_no_file(spool: Path) -> None:
    """A limit on the size of files stands for it."""
    script = """if True:
        from tracer.clients.sends import SendLog
        from tracer.errors import TracerError
        try:
            SendLog.for_thread().add(1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 30)
        except TracerError as error:
            print(error)
    """
    done = run(script, RLIMIT_FSIZE=BLOCK_BYTES - 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert "File too large" in done.stdout
    assert list(spool.glob("*/*")) == []


def test_a_block_is_mapped_as_long_as_something_shows_it(tmp_path: Path) -> None:
    def maps() -> int:
        gc.collect()
        return Path("/proc/self/maps").read_text().count(str(tmp_path))

    block, number = new_file(str(tmp_path), "1-2", 0)
    assert (number, maps()) == (1, 1)
    view = memoryview(block)[64:128]
    del block
    assert (bytes(view), maps()) == (bytes(64), 1)
    del view
    assert maps() == 0


def test_a_window_is_in_memory_before_an_entry_needs_it(tmp_path: Path) -> None:
    def mapped() -> int:
        """Pages of the block that this process has mapped, in bytes."""
        text = Path("/proc/self/smaps").read_text()
        return int(text.partition(str(tmp_path))[2].partition("Rss:")[2].split()[0]) * 1024

    block, _ = new_file(str(tmp_path), "1-2", 0)
    assert mapped() == 0
    block.open_window(0)
    assert mapped() == WINDOW_BYTES
    block.open_window(WINDOW_BYTES)
    assert mapped() == 2 * WINDOW_BYTES


def test_a_file_s_space_is_its_own_at_once(tmp_path: Path) -> None:
    """A write to a mapping for which there is no space left would kill the program."""
    _block, _ = new_file(str(tmp_path), "1-2", 0)
    (file,) = tmp_path.glob("*/*")
    assert file.stat().st_size == BLOCK_BYTES <= file.stat().st_blocks * 512


def test_names_that_are_taken_are_passed_over(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        new_file(str(tmp_path), "1-2", number)
    assert new_file(str(tmp_path), "1-2", 0)[1] == 3
    assert new_file(str(tmp_path), "1-2", 3)[1] == 5
    assert new_file(str(tmp_path), "1-3", 0)[1] == 1


def test_a_spool_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """The directory that was found before is gone, and made anew."""
    new_file(str(tmp_path), "1-2", 0)
    (directory,) = tmp_path.iterdir()
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    new_file(str(tmp_path), "1-2", 1)
    assert [p.name for p in tmp_path.glob("*/*")] == ["1-2-1.sends"]


def test_what_cannot_be_mapped_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(PermissionError):
        Block.of(file.fileno())
