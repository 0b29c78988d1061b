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

The recorder looks at all logs many times a second, and in most of them nothing is new. So
a file that passed the checks is mapped, and one call shows the next entry of a thousand
files (:mod:`tracer.clients.glance`, because the owner may shrink a file, and a mapping must
not be touched then). A directory is listed anew only when it has changed. At the end of a
recording everything is listed, opened and checked once more.

Files that fail these checks are counted. If their owner is a user of a traced process, one
of them may be a damaged log, and the recording is not trusted. Files of other users are
reported only: otherwise any user of the machine could make recordings untrusted.
"""

from __future__ import annotations

import os
import re
import stat
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import numpy as np

from tracer.clients.entry import SEND_DTYPE
from tracer.clients.glance import Glance
from tracer.clients.log_file import BLOCK_BYTES, Block

#: One read ends after this many entries (16 MiB) and leaves the rest to the next.
READ_LIMIT = 1 << 18
#: At most so many files of one directory are looked at.
FILES_LIMIT = 1 << 16
#: At most so many files are mapped, as a process may have 65,530 mappings. Others are opened
#: at each look.
MAPPED_LIMIT = 1 << 14
#: At most so many refused files are remembered; those beyond are not counted.
ODD_LIMIT = 1000

_CHUNK = 1024
_SEALED = SEND_DTYPE.fields["sealed"][1]  # type: ignore[index]
_NAME = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,10})\.sends", re.ASCII)
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REALTIME_COARSE = 5  # a clock that module time does not name
_MS = 1_000_000


class _Listing:
    """What was in a directory when it was listed."""

    def __init__(self) -> None:
        self._state: tuple[int, ...] | None = None

    def is_current(self, status: os.stat_result) -> bool:
        """Whether nothing can have been added since to the directory of this status."""
        return self._state == (status.st_dev, status.st_ino, status.st_ctime_ns)

    def begin(self, directory: int) -> os.stat_result:
        """Note the directory's state, before it is listed.

        What is added later has a later time. But the kernel's clock for files stands still
        between two ticks, and some file systems have times of whole seconds: what was changed so
        short a time ago may be changed again and show the same time. Then it is listed again.
        """
        now = time.clock_gettime_ns(_REALTIME_COARSE)
        status = os.fstat(directory)
        changed = status.st_ctime_ns
        grain = _MS if changed % 1_000_000_000 else 2_000 * _MS
        settled = changed < now - grain
        self._state = (status.st_dev, status.st_ino, changed) if settled else None
        return status

    def forget(self) -> None:
        """List the directory again in any case."""
        self._state = None


class _Log:
    """A file that is named like a log, and how far it was read."""

    __slots__ = (
        "__weakref__",
        "block",
        "inode",
        "name",
        "offset",
        "order",
        "sealed",
        "tgid",
        "tid",
    )

    def __init__(self, name: str, inode: int, order: tuple[int, int, int]) -> None:
        self.name, self.inode, self.order = name, inode, order
        self.tgid, self.tid, _number = order
        self.offset = 0
        self.unmap()

    def unmap(self) -> None:
        """Have the file opened and checked at the next look."""
        self.block: Block | None = None
        self.sealed: memoryview | None = None  # the seal of the next entry

    def watch(self) -> None:
        """Look at the next entry from now on."""
        if self.block is None or self.offset == BLOCK_BYTES:
            self.unmap()
        else:
            seal = self.offset + _SEALED
            self.sealed = memoryview(self.block)[seal : seal + 4]


class _Place:
    """A user's directory, and the logs in it in the order of their process, thread and number."""

    def __init__(self) -> None:
        self.listing = _Listing()
        self.logs: dict[str, _Log] = {}


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
        self._glance = Glance()
        self._ran_as = ran_as
        self._writers: set[tuple[int, int]] = set()
        self._listing = _Listing()
        self._names: list[str] = []
        self._places: dict[str, _Place] = {}
        self._mapped: weakref.WeakSet[_Log] = weakref.WeakSet()
        self._round: Iterator[np.ndarray[Any, Any]] = iter(())
        self.odd: dict[tuple[int, str], str] = {}
        """Why a file was refused, by its owner's user id and its name in printable characters."""

    def close(self) -> None:
        """Close the directory and the logs."""
        self._round = iter(())
        self._places.clear()
        self._glance.close()
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

        Directories are listed once, whether they seem changed or not, and every file is opened
        and checked once more. Files that are made later are not read, so that a program
        that goes on logging cannot keep the recorder from ending.
        """
        yield from self._round
        self._listing.forget()
        for place in self._places.values():
            place.listing.forget()
            for log in place.logs.values():
                log.unmap()
        yield from self._walk()

    def _walk(self) -> Iterator[np.ndarray[Any, Any]]:
        """The new entries of every file, each file visited once."""
        if not self._listing.is_current(os.fstat(self._root)):
            self._listing.begin(self._root)
            self._names = list(self._listed(self._root, "."))
            for gone in self._places.keys() - self._names:
                del self._places[gone]
        for name in self._names:
            yield from self._place(name)

    def _place(self, name: str) -> Iterator[np.ndarray[Any, Any]]:
        """The new entries of one directory, which is not even opened when there are none."""
        place = self._places.get(name) or _Place()
        ready: list[_Log] = []
        with suppress(OSError):
            status = os.stat(name, dir_fd=self._root, follow_symlinks=False)
            if place.listing.is_current(status):
                ready = self._ready(place)
                if not ready:
                    return
        with self._opened(self._root, name, name) as directory:
            if directory is None:
                self._places.pop(name, None)
                return
            status = os.fstat(directory)
            if not stat.S_ISDIR(status.st_mode):
                self._refuse(status.st_uid, name, "not a user's directory")
                return
            self._places[name] = place
            if not place.listing.is_current(status):
                self._list(place, directory, name)
                ready = self._ready(place)
            for log in ready:
                yield from self._log(directory, f"{name}/{log.name}", status.st_uid, log)
                if log.offset == BLOCK_BYTES:
                    with suppress(OSError):
                        os.unlink(log.name, dir_fd=directory)
                        place.logs.pop(log.name, None)

    def _list(self, place: _Place, directory: int, path: str) -> None:
        """List a directory: what is left of the logs in it, and new ones."""
        user = place.listing.begin(directory).st_uid
        logs = []
        for name, inode in self._listed(directory, path).items():
            log = place.logs.get(name)
            if log is None or log.inode != inode:
                named = _NAME.fullmatch(name)
                if not named:
                    self._refuse(user, f"{path}/{name}", "not named like a log")
                    continue
                log = _Log(name, inode, (int(named[1]), int(named[2]), int(named[3])))
            logs.append(log)
        logs.sort(key=lambda log: log.order)
        place.logs = {log.name: log for log in logs}

    def _ready(self, place: _Place) -> list[_Log]:
        """The logs that may have something new, in their order."""
        logs = list(place.logs.values())
        views = [log.sealed for log in logs if log.sealed is not None]
        seals = self._glance.words(views)
        if len(views) == len(logs):
            return [logs[number] for number in np.flatnonzero(seals)]
        look = iter(seals.tolist())
        return [log for log in logs if log.sealed is None or next(look)]

    def _log(
        self, directory: int, path: str, user: int, log: _Log
    ) -> Iterator[np.ndarray[Any, Any]]:
        if log.block is not None:
            try:
                yield from self._new(log, self._glimpsed(log.block), user, path)
                log.watch()
            except OSError:  # it has shrunk
                log.unmap()
            return
        with self._opened(directory, log.name, path, user) as fd:
            if fd is None:
                return
            status = os.fstat(fd)
            why = self._objection(status, user, log.tgid)
            if why:
                self._refuse(user, path, why)
                return
            yield from self._new(log, lambda size, offset: os.pread(fd, size, offset), user, path)
            if log.offset < BLOCK_BYTES and _is_whole(status) and len(self._mapped) < MAPPED_LIMIT:
                with suppress(OSError):
                    log.block = Block.of(fd)
                    self._mapped.add(log)
                    log.watch()

    def _new(
        self, log: _Log, read: Callable[[int, int], bytes], user: int, path: str
    ) -> Iterator[np.ndarray[Any, Any]]:
        """The new entries of a log, those of its own thread."""
        for entries in _complete_from(read, log.offset):
            log.offset += entries.nbytes
            own = (entries["tgid"] == log.tgid) & (entries["tid"] == log.tid)
            if not own.all():
                self._refuse(user, path, "entries of another thread")
            yield entries[own]

    def _glimpsed(self, block: Block) -> Callable[[int, int], bytes]:
        view = memoryview(block)
        return lambda size, offset: self._glance.copy(view[offset : offset + size])

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

    def _listed(self, directory: int, path: str) -> dict[str, int]:
        """The names in a directory, and the number of the file that each is for."""
        try:
            with os.scandir(directory) as entries:
                found = {entry.name: entry.inode() for entry in islice(entries, FILES_LIMIT + 1)}
        except FileNotFoundError:  # removed
            return {}
        if len(found) > FILES_LIMIT:
            self._refuse(os.fstat(directory).st_uid, path, "more files than are looked at")
            found.popitem()
        return found

    def _refuse(self, user: int, path: str, why: str) -> None:
        # The file's name was chosen by whoever made it and will be printed on a terminal: escape
        # control characters.
        printable = ascii(path)[1:-1][:80]
        if len(self.odd) < ODD_LIMIT:
            self.odd.setdefault((user, printable), why)


def _is_whole(status: os.stat_result) -> bool:
    """Whether a file has its full size, and no holes, which to look at would fill."""
    return status.st_size == BLOCK_BYTES <= status.st_blocks * 512


def _complete_from(
    read: Callable[[int, int], bytes], offset: int
) -> Iterator[np.ndarray[Any, Any]]:
    """The entries of a log from ``offset`` (bytes) up to the first that is not fully written.

    ``read(size, offset)`` gives its bytes. They are read twice, because an entry that is written
    while it is read may show its seal and yet the former bytes before it. What is sealed in the
    first reading is whole in the second.
    """
    # Most files have little that is new, so the first look needs no large buffer.
    count = 16
    while offset < BLOCK_BYTES:
        looked = min(count, (BLOCK_BYTES - offset) // 64)
        sealed = _sealed(read(looked * 64, offset))
        entries = _entries(read(sealed * 64, offset))
        if len(entries):
            yield entries
        if len(entries) < looked:
            return
        offset += entries.nbytes
        count = min(8 * count, _CHUNK)


def _sealed(data: bytes) -> int:
    """How many entries at the beginning of ``data`` are fully written."""
    entries = _entries(data)
    written = (entries["sealed"] == 1) & (entries["end_ns"] != 0)
    return len(entries) if written.all() else int(np.argmin(written))


def _entries(data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, SEND_DTYPE, count=len(data) // 64)
