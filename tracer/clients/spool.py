# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory of a recording in the making, outside its files: logs come in there.

It is locked (``flock``) by the recorder for as long as that lives, and the kernel drops
the lock with the process however it ends. So whoever gets the lock knows, without a
guess by process id or age, that the directory is left over and may clear it away; with
it goes what the directory notes of changes that outlive a process (see `relayed`).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "tracer-spool-"
_RELAYED = "relayed"


class Spool:
    """A new spool. ``path`` is where traced programs log their sends.

    Others may enter the outer directory and not list it, and ``path`` has a name that
    nobody guesses: who is to write there was told it.
    """

    def __init__(self) -> None:
        self._outer, self._lock = _claimed()
        self._outer.chmod(0o711)
        self.path = self._outer / secrets.token_hex(16)
        self.path.mkdir()
        self.path.chmod(0o1733)

    def note_relayed(self, tgid: int) -> None:
        """Note, before it is so, that the module's relay reports a process on our behalf."""
        with (self._outer / _RELAYED).open("a") as file:
            file.write(f"{tgid}\n")

    def close(self) -> None:
        """Remove it. What a program still makes there, the next recorder removes."""
        shutil.rmtree(self._outer, ignore_errors=True)
        os.close(self._lock)


def abandoned() -> Iterator[Path]:
    """The spools of recorders that are dead, each locked until the next is asked for."""
    for path in _all():
        lock = _lock(path)
        if lock is None:
            continue
        try:
            yield path
        finally:
            os.close(lock)


def in_use() -> list[Path]:
    """The spools of recorders that live, of this process as well."""
    dead = set(abandoned())
    return [path for path in _all() if path not in dead]


def relayed(path: Path) -> set[int]:
    """The processes that a spool's recorder had the module's relay report."""
    try:
        return {int(line) for line in (path / _RELAYED).read_text().split() if line.isdigit()}
    except OSError:
        return set()


def recorder(path: Path) -> int:
    """The process id of a spool's recorder."""
    return int(path.name.removeprefix(PREFIX).partition("-")[0])


def remove(path: Path) -> None:
    """Remove the spool of a dead recorder."""
    shutil.rmtree(path, ignore_errors=True)


def _claimed() -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_base()))
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if path.exists():
            return path, fd
        os.close(fd)  # somebody cleared it away before it was locked


def _all() -> list[Path]:
    return sorted(_base().glob(f"{PREFIX}[0-9]*-*"))


def _lock(path: Path) -> int | None:
    """The descriptor that holds the directory's lock; None if it is not ours, or not free."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return None


def _base() -> Path:
    """Where a shared mapping costs no disk: /dev/shm if it is there."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
