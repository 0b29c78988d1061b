# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of the user side's log, as a program makes and maps them.

A thread goes on to its next file in the middle of the traced program's work, so:

- All system calls of that are made with the interpreter's lock held. They take
  microseconds. A call that lets go of the lock (as those of :mod:`os` do) waits for it
  afterwards, and a program with another busy thread waits 5 ms each time.
- The memory of a file is reserved when it is made, but its pages are mapped by windows.
  A fresh page costs a microsecond, and many times that in a virtual machine whose host
  has to find it first.
- A mapping keeps no descriptor, unlike those of :mod:`mmap`. So a log does not count
  against the program's limit, and a program that closes all descriptors, as daemons do,
  cannot make the log close one that it opened since.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

BLOCK_ENTRIES = 4096
"""Entries of one file, or of a thread's block in memory; 4096 entries are 256 KiB."""
BLOCK_BYTES = BLOCK_ENTRIES * 64
WINDOW_BYTES = 1 << 16
"""So much of a file is mapped at a time: 16 pages, 1024 entries."""

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE
_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL keeps the interpreter's lock


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_libc, name)
    function.restype, function.argtypes = result, arguments
    return function


_open = _function("open", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint)
_close = _function("close", ctypes.c_int, ctypes.c_int)
_fallocate = _function("posix_fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
_mmap = _function(
    "mmap", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
    ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip
_munmap = _function("munmap", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_madvise = _function("madvise", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

# The directory that this process found to be its user's own, by spool and user id.
_directories: dict[tuple[str, int], str] = {}


class Block(ctypes.Array[ctypes.c_char]):
    """The bytes of a log file, mapped for as long as this or a view of it is there.

    Get it by `of`. Where the file has become shorter since, the program that touches the
    bytes beyond is killed (SIGBUS).
    """

    _type_ = ctypes.c_char
    _length_ = BLOCK_BYTES

    @classmethod
    def of(cls, fd: int, *, writable: bool = False) -> Block:
        """Map an open file of `BLOCK_BYTES` bytes. Raises `OSError`."""
        access = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        address = _mmap(None, BLOCK_BYTES, access, mmap.MAP_SHARED, fd, 0)
        if address == _FAILED:
            raise _failure()
        return cls.from_address(address)

    def open_window(self, offset: int) -> None:
        """Map the pages from ``offset`` (bytes) on, so that they cost no entry a page fault.

        Before Linux 5.14 there is no such call, and the first entry of a page pays for it.
        """
        _madvise(ctypes.addressof(self) + offset, WINDOW_BYTES, _POPULATE_WRITE)

    def __del__(
        self,
        address: Callable[[Any], int] = ctypes.addressof,
        unmap: Callable[[int, int], int] = _munmap,
    ) -> None:
        unmap(address(self), BLOCK_BYTES)


def new_file(spool: str, writer: str, number: int) -> tuple[Block, int]:
    """Make the next log file of a writer (``TGID-TID``); returns it and the number after its own.

    A name may be taken by an ended thread that had the same id: then the next number is tried.
    Raises `OSError`, for instance `FileNotFoundError` if the spool is gone.
    """
    key = spool, os.geteuid()
    if key in _directories:
        with suppress(FileNotFoundError):
            return _numbered(_directories[key], writer, number)
    _directories[key] = _user_directory(Path(spool))
    return _numbered(_directories[key], writer, number)


def _numbered(directory: str, writer: str, number: int) -> tuple[Block, int]:
    while True:
        path = f"{directory}/{writer}-{number}.sends"
        number += 1
        with suppress(FileExistsError):
            return _created(path), number


def _created(path: str) -> Block:
    fd = _open(os.fsencode(path), _CREATE, 0o600)
    if fd < 0:
        raise _failure()
    try:
        _allocate(fd)
        return Block.of(fd, writable=True)
    except OSError:
        os.unlink(path)
        raise
    finally:
        _close(fd)


def _allocate(fd: int) -> None:
    """Allocate the space now.

    On a full disk this fails with an error, but a write to the mapping would kill the program
    with SIGBUS.
    """
    while (error := _fallocate(fd, 0, BLOCK_BYTES)) == errno.EINTR:
        pass
    if error:
        raise OSError(error, os.strerror(error))


def _user_directory(spool: Path) -> str:
    """The path of the caller's own directory in the spool, created if missing.

    It is named after the user id. If another user has taken that name, or it is no
    directory, the name gets a number: ``1000``, ``1000.1``, ``1000.2``, ... What is the
    caller's own stays so, because in the spool only its owner can rename or remove it.
    """
    user, number = os.geteuid(), 0
    while True:
        path = spool / (f"{user}.{number}" if number else str(user))
        with suppress(FileExistsError):
            path.mkdir(0o700)
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == user:
            return str(path)
        number += 1


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
