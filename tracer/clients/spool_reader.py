# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the logs that traced programs write into a spool directory.

Any program that knows the directory can create files there, and the recorder is root, so
each file is checked before it is taken for a log::

    SPOOL/                  the recorder's; other users may enter it and create files, but not
                            list it, and remove only their own files (mode 1733)
    SPOOL/UID/              the user's (0700), made by the first of this user's programs
    SPOOL/UID/TGID-TID-N.sends

A program may change its user at any time (sudo, a daemon that drops its rights), so
the recorder cannot make the users' directories beforehand; the programs make them.
Therefore a directory's name proves nothing. What counts is its owner, which only root
can change. A file is read if it is a regular file, has the same owner as its directory,
has no other hard link, is no larger than a log, and is named after a traced process that
ran as that user. Symbolic links are not followed, and opening a FIFO does not wait. An
entry must have the process and thread id that are in the file's name.

Files that fail these checks are counted. If their owner is a user of a traced process, one
of them may be a damaged log, and the recording is not trusted. Files of other users are
reported only: otherwise any user of the machine could make recordings untrusted.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import numpy as np

from tracer.clients.sends import BLOCK_BYTES, SEND_DTYPE

#: One read ends after this many entries (16 MiB) and leaves the rest to the next.
READ_LIMIT = 1 << 18
#: At most so many files of one directory are looked at.
FILES_LIMIT = 1 << 16
#: At most so many refused files are remembered; those beyond are not counted.
ODD_LIMIT = 1000

_CHUNK = 1024
_NAME = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,10})\.sends", re.ASCII)
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SpoolReader:
    """Reads the entries that programs write into a spool directory.

    ``ran_as(tgid, uid)`` tells whether the process ``tgid`` is traced and ran as the user
    ``uid``; the default accepts all files of the caller's own user. A file that is full and
    was read to its end is removed, so that a long run does not fill the file system.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        ran_as: Callable[[int, int], bool] = lambda _tgid, uid: uid == os.geteuid(),
    ) -> None:
        self._root = os.open(directory, _OPEN | os.O_DIRECTORY)
        self._ran_as = ran_as
        self._writers: set[tuple[int, int]] = set()
        self._offsets: dict[tuple[str, str], int] = {}
        self._round: Iterator[np.ndarray[Any, Any]] = iter(())
        self.odd: dict[tuple[int, str], str] = {}
        """Why a file was refused, by its owner's user id and its name in printable characters."""

    def close(self) -> None:
        """Close the directory."""
        self._round = iter(())
        os.close(self._root)

    def read(self) -> np.ndarray[Any, Any]:
        """The entries (`SEND_DTYPE`) completed since the last call, each once.

        The entries of a thread are in the order in which they were written. A call ends
        when it has found `READ_LIMIT` entries; the next one goes on with the other files.
        """
        found: list[np.ndarray[Any, Any]] = []
        count = 0
        for fresh in (False, True):
            if fresh:
                self._round = self._walk()
            for entries in self._round:
                found.append(entries)
                count += len(entries)
                if count >= READ_LIMIT:
                    return np.concatenate(found)
        return np.concatenate(found) if found else np.zeros(0, SEND_DTYPE)

    def rest(self) -> Iterator[np.ndarray[Any, Any]]:
        """All entries that are left, in pieces of at most one file, at the end of a recording.

        Directories are listed once. Files that are made later are not read, so that a program
        that goes on logging cannot keep the recorder from ending.
        """
        yield from self._round
        yield from self._walk()

    def _walk(self) -> Iterator[np.ndarray[Any, Any]]:
        """The new entries of every file, each file visited once."""
        seen: set[tuple[str, str]] = set()
        for name in self._listed(self._root, "."):
            with self._opened(self._root, name, name) as directory:
                if directory is None:
                    continue
                user = os.fstat(directory).st_uid
                if not stat.S_ISDIR(os.fstat(directory).st_mode):
                    self._refuse(user, name, "not a user's directory")
                    continue
                for file in sorted(self._listed(directory, name), key=_in_order):
                    seen.add((name, file))
                    yield from self._file(directory, name, user, file)
        for gone in self._offsets.keys() - seen:
            del self._offsets[gone]

    def _file(
        self, directory: int, place: str, user: int, name: str
    ) -> Iterator[np.ndarray[Any, Any]]:
        path = f"{place}/{name}"
        named = _NAME.fullmatch(name)
        if not named:
            self._refuse(user, path, "not named like a log")
            return
        tgid, tid = int(named[1]), int(named[2])
        with self._opened(directory, name, path, user) as fd:
            if fd is None:
                return
            why = self._objection(os.fstat(fd), user, tgid)
            if why:
                self._refuse(user, path, why)
                return
            offset = self._offsets.get((place, name), 0)
            for entries in _complete_from(fd, offset):
                offset += entries.nbytes
                own = (entries["tgid"] == tgid) & (entries["tid"] == tid)
                if not own.all():
                    self._refuse(user, path, "entries of another thread")
                yield entries[own]
            self._offsets[place, name] = offset
        if offset == BLOCK_BYTES:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
                del self._offsets[place, name]

    def _objection(self, status: os.stat_result, user: int, tgid: int) -> str:
        """Why this file cannot be a log of that process and user; ``""`` if it can."""
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if status.st_uid != user:
            return "of another user than its directory"
        if status.st_nlink > 1:
            return "linked from elsewhere"
        if status.st_size > BLOCK_BYTES:
            return "larger than a log"
        if (tgid, user) not in self._writers:
            if not self._ran_as(tgid, user):
                return "of no traced process of this user"
            self._writers.add((tgid, user))
        return ""

    @contextmanager
    def _opened(
        self, directory: int, name: str, path: str, user: int | None = None
    ) -> Iterator[int | None]:
        """A descriptor of the file; None if it is gone or cannot be opened (then refused)."""
        try:
            fd = os.open(name, _OPEN, dir_fd=directory)
        except OSError as error:
            with suppress(FileNotFoundError):
                owner = os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid
                self._refuse(owner if user is None else user, path, os.strerror(error.errno or 0))
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)

    def _listed(self, directory: int, path: str) -> list[str]:
        try:
            with os.scandir(directory) as entries:
                names = [entry.name for entry in islice(entries, FILES_LIMIT + 1)]
        except FileNotFoundError:  # removed
            return []
        if len(names) > FILES_LIMIT:
            self._refuse(os.fstat(directory).st_uid, path, "more files than are looked at")
        return names[:FILES_LIMIT]

    def _refuse(self, user: int, path: str, why: str) -> None:
        # The file's name was chosen by whoever made it and will be printed on a terminal: escape
        # control characters.
        printable = ascii(path)[1:-1][:80]
        if len(self.odd) < ODD_LIMIT:
            self.odd.setdefault((user, printable), why)


def _in_order(name: str) -> tuple[int, ...]:
    """Sort key of a log: process, thread, number; so a thread's files come in their order."""
    named = _NAME.fullmatch(name)
    return tuple(int(part) for part in named.groups()) if named else ()


def _complete_from(fd: int, offset: int) -> Iterator[np.ndarray[Any, Any]]:
    """The entries of a log from ``offset`` (bytes) up to the first that is not fully written."""
    # Most files have nothing new, so the first look is at one entry and needs no large buffer.
    count = 1
    while offset < BLOCK_BYTES:
        data = os.pread(fd, min(count * 64, BLOCK_BYTES - offset), offset)
        entries = _complete(data)
        if len(entries):
            yield entries
        if len(entries) < count:
            return
        offset += entries.nbytes
        count = _CHUNK


def _complete(data: bytes) -> np.ndarray[Any, Any]:
    """The entries at the beginning of ``data``, up to the first that is not fully written."""
    entries = np.frombuffer(data, SEND_DTYPE, count=len(data) // 64)
    written = (entries["sealed"] == 1) & (entries["end_ns"] != 0)
    return entries if written.all() else entries[: int(np.argmin(written))]
