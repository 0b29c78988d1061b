# SPDX-License-Identifier: GPL-2.0-or-later
"""The user side's own log: which message, when, by which thread.

A thread writes fixed 64-byte entries into memory that was mapped beforehand,
so an entry costs one ``struct.pack_into``. Where the environment variable
``TRACER_SENDS`` names a directory, the memory is a file there, which the
recorder reads while it grows and which survives a kill of the program;
otherwise the last entries of each thread stay in anonymous memory.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from tracer.errors import TracerError

SPOOL_VARIABLE = "TRACER_SENDS"
BLOCK_ENTRIES = 4096
"""Entries per file, or kept per thread in memory: 256 KiB."""

CHANNEL_NETLINK, CHANNEL_SETSOCKOPT, CHANNEL_GETSOCKOPT, CHANNEL_NOTIFY = range(4)
KIND_SEND, KIND_RECEIVE, KIND_CALL = range(3)

SEND_DTYPE = np.dtype(
    [
        ("begin_ns", "<u8"),
        ("end_ns", "<u8"),
        ("token", "<u8"),
        ("intended_ns", "<u8"),
        ("tid", "<u4"),
        ("tgid", "<u4"),
        ("portid", "<u4"),
        ("seq", "<u4"),
        ("size", "<u4"),
        ("type", "<u2"),
        ("errno", "<u2"),
        ("channel", "u1"),
        ("kind", "u1"),
        ("proto", "u1"),
        ("pad", "u1"),
        ("sealed", "<u4"),
    ]
)
"""One entry; times in ns of CLOCK_MONOTONIC.

``intended_ns`` is 0 for what was not scheduled. ``size`` is what went through
the system call, in bytes. ``sealed`` is 1 once the entry is whole: it is
written last, so that a reader in another process never takes half an entry.
"""

_ENTRY = struct.Struct("<QQQQIIIIIHHBBBBI")
_READ_ENTRIES = 1024
# Populated at once: no page fault while something is being measured.
_POPULATED = mmap.MAP_POPULATE
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _POPULATED
_SHARED = mmap.MAP_SHARED | _POPULATED

_logs: weakref.WeakSet[SendLog] = weakref.WeakSet()
_of_thread = threading.local()


class SendLog:
    """The log of one thread; get it by `for_thread`, never share it."""

    __slots__ = (
        "__weakref__",
        "_block",
        "_end",
        "_offset",
        "_pack",
        "_spool",
        "_tgid",
        "_tid",
    )

    def __init__(self) -> None:
        self._pack = _ENTRY.pack_into
        self._block: Any = None  # a mapping, from the first entry on
        self._offset = self._end = 0
        self._tid = self._tgid = 0
        self._spool: str | None = None
        _logs.add(self)

    @staticmethod
    def for_thread() -> SendLog:
        """The log of the calling thread."""
        try:
            return _of_thread.log  # type: ignore[no-any-return]
        except AttributeError:
            _of_thread.log = log = SendLog()
            return log

    def add(
        self,
        begin_ns: int,
        end_ns: int,
        token: int,
        intended_ns: int,
        portid: int,
        seq: int,
        size: int,
        type_: int,
        error: int,
        channel: int,
        kind: int,
        proto: int,
    ) -> None:
        """Log one message; the arguments are the fields of `SEND_DTYPE`.

        Raises `TracerError` when a new file of the spool cannot be made.
        """
        offset = self._offset
        if offset == self._end:
            offset = self._renew()
        self._pack(
            self._block,
            offset,
            begin_ns,
            end_ns,
            token,
            intended_ns,
            self._tid,
            self._tgid,
            portid,
            seq,
            size,
            type_,
            error,
            channel,
            kind,
            proto,
            0,
            1,
        )
        self._offset = offset + 64

    def entries(self) -> np.ndarray[Any, Any]:
        """A copy of the entries of the present block (`SEND_DTYPE`), oldest first.

        For programs that look at themselves: at most the last `BLOCK_ENTRIES`
        entries, fewer after a block was begun anew.
        """
        if self._block is None:
            return np.zeros(0, SEND_DTYPE)
        return np.frombuffer(self._block[: self._offset], SEND_DTYPE)

    def forget(self) -> None:
        """Leave the present block as it is and begin another with the next entry."""
        self._block = None
        self._offset = self._end = 0

    def follow_spool(self) -> None:
        """Begin another block if the spool is another one than when this block was begun.

        For clients that are opened after the environment of a running program changed.
        """
        if self._spool != os.environ.get(SPOOL_VARIABLE):
            self.forget()

    def _renew(self) -> int:
        """Map the next block; returns the offset of its first entry."""
        self._tid = threading.get_native_id()
        self._tgid = os.getpid()
        self._spool = os.environ.get(SPOOL_VARIABLE)
        size = BLOCK_ENTRIES * 64
        if self._spool:
            self._block = _new_file(Path(self._spool), self._tgid, self._tid, size)
        elif self._block is None:
            self._block = mmap.mmap(-1, size, flags=_PRIVATE)
        self._end = size
        return 0


def _new_file(spool: Path, tgid: int, tid: int, size: int) -> mmap.mmap:
    # A number may be taken: thread ids are used again.
    number = 0
    while True:
        path = spool / f"{tgid}-{tid}-{number}.sends"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _no_spool(spool, error) from error
    try:
        # Take the blocks now: a full disk is an error here, a fatal signal later.
        os.posix_fallocate(fd, 0, size)
        return mmap.mmap(fd, size, flags=_SHARED)
    except OSError as error:
        path.unlink()
        raise _no_spool(spool, error) from error
    finally:
        os.close(fd)


def _no_spool(spool: Path, error: OSError) -> TracerError:
    return TracerError(
        f"cannot log sends in {spool}",
        os.strerror(error.errno or errno.EIO),
        f"unset {SPOOL_VARIABLE} or let it name a directory with room",
    )


def _forget_all() -> None:
    """In a forked child: the mapped files are the parent's."""
    for log in _logs:
        log.forget()


os.register_at_fork(after_in_child=_forget_all)


class SpoolReader:
    """Reads the entries that programs write into a spool directory.

    Files that were read to their end are removed, so that a long run does not
    fill the file system that holds the spool.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        self._offsets: dict[str, int] = {}

    def read(self) -> np.ndarray[Any, Any]:
        """The entries (`SEND_DTYPE`) completed since the last call, each once.

        Within a thread they come in the order in which they were written.
        """
        try:
            names = sorted(n for n in os.listdir(self._directory) if n.endswith(".sends"))
        except FileNotFoundError:
            names = []
        found = [block for name in names for block in self._read_file(name)]
        return np.concatenate(found) if found else np.zeros(0, SEND_DTYPE)

    def _read_file(self, name: str) -> list[np.ndarray[Any, Any]]:
        path = self._directory / name
        offset = self._offsets.get(name, 0)
        blocks = []
        try:
            with path.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                while offset < size:
                    entries = _complete(os.pread(file.fileno(), _READ_ENTRIES * 64, offset))
                    blocks.append(entries)
                    offset += entries.nbytes
                    if len(entries) < _READ_ENTRIES:
                        break
            self._offsets[name] = offset
            if size and offset == size:
                path.unlink()
                del self._offsets[name]
        except OSError:
            # Gone, or not ours to read or remove; what was read still counts.
            self._offsets[name] = offset
        return blocks


def _complete(data: bytes) -> np.ndarray[Any, Any]:
    """The whole entries at the beginning of `data`, up to the first unwritten one."""
    entries = np.frombuffer(data, SEND_DTYPE, count=len(data) // 64)
    written = (entries["sealed"] == 1) & (entries["end_ns"] != 0)
    return entries if written.all() else entries[: int(np.argmin(written))]
