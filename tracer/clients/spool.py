# SPDX-License-Identifier: GPL-2.0-or-later
"""The spool: a recorder's directory into which the traced programs write their logs.

The recorder holds a lock (``flock``) on it for as long as it lives, and the kernel drops
the lock with the process, however it ends. So whoever can take the lock knows that the
recorder is dead and that the spool may be removed; process ids or ages would only allow
a guess. The spool also lists the processes that the recorder entered in the module's relay
(see `relayed`), because those entries remain when the recorder is killed.
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

    Every user may enter the outer directory but not list it, and the name of ``path`` is
    random. So only programs that were told the name (by ``TRACER_SENDS``) can write there.
    """

    def __init__(self) -> None:
        self._outer, self._lock = _claimed()
        self._outer.chmod(0o711)
        self.path = self._outer / secrets.token_hex(16)
        self.path.mkdir()
        self.path.chmod(0o1733)

    def note_relayed(self, tgid: int) -> None:
        """Note that this recorder is about to enter a process in the relay's list.

        Noted before the entry is made, so that a kill in between leaves no entry unknown.
        """
        with (self._outer / _RELAYED).open("a") as file:
            file.write(f"{tgid}\n")

    def close(self) -> None:
        """Remove the spool. What a program creates there meanwhile, the next recorder removes."""
        shutil.rmtree(self._outer, ignore_errors=True)
        os.close(self._lock)


def abandoned() -> Iterator[Path]:
    """The spools of dead recorders. Each stays locked until the iterator goes on to the next."""
    for path in _all():
        lock = _lock(path)
        if lock is None:
            continue
        try:
            yield path
        finally:
            os.close(lock)


def in_use() -> list[Path]:
    """The spools of living recorders, those of this process included."""
    dead = set(abandoned())
    return [path for path in _all() if path not in dead]


def relayed(path: Path) -> set[int]:
    """The ids of the processes that a spool's recorder entered in the relay's list."""
    try:
        return {int(line) for line in (path / _RELAYED).read_text().split() if line.isdigit()}
    except OSError:
        return set()


def recorder(path: Path) -> int:
    """The process id of the recorder that made a spool, from the directory's name."""
    return int(path.name.removeprefix(PREFIX).partition("-")[0])


def remove(path: Path) -> None:
    """Remove the spool of a dead recorder."""
    shutil.rmtree(path, ignore_errors=True)


def _claimed() -> tuple[Path, int]:
    """Make and lock a new directory; returns it and the descriptor that holds the lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_base()))
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if path.exists():
            return path, fd
        os.close(fd)  # another recorder took it for abandoned and removed it before the lock


def _all() -> list[Path]:
    return sorted(_base().glob(f"{PREFIX}[0-9]*-*"))


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock; None if it is taken or another user's directory."""
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
    """The parent of all spools: /dev/shm, whose files are in memory; else the temporary one."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
