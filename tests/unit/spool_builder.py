# SPDX-License-Identifier: GPL-2.0-or-later
"""A spool of send logs, with logs as programs write them and files that are none."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

from tracer.clients import sends
from tracer.clients.log_file import BLOCK_BYTES
from tracer.clients.sends import SendLog

NOBODY = 65534
DEADLINE = 300.0


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
