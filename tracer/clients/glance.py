# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies bytes out of mapped files that their owners may shrink at any time.

To touch a mapping beyond the end of its file kills the process (SIGBUS). When the kernel
touches it instead, because it is to write these bytes into another file, it only says
EFAULT. One such call takes bytes of a thousand files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

_BATCH = 1024  # a call takes so many pieces (IOV_MAX)
_CHUNK = 1 << 16
_WORD = 4
_SHRUNK = b"\1\0\0\0"
_MFD_NOEXEC_SEAL = 8


class Glance:
    """A file in memory to copy through; one thread uses it."""

    def __init__(self) -> None:
        self._file = _file_in_memory()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def words(self, views: Sequence[memoryview]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
        """The 32-bit words that the views (4 bytes each) show; 1 where a file has shrunk.

        So there seems to be something new in a file that has shrunk, and `copy` will tell.
        """
        found = []
        for begin in range(0, len(views), _BATCH):
            batch = views[begin : begin + _BATCH]
            words = self._batch(batch)
            found.append(words if len(words) == _WORD * len(batch) else self._singly(batch))
        return np.frombuffer(b"".join(found), "<u4")

    def copy(self, view: memoryview) -> bytes:
        """The bytes that a view shows. Raises `OSError` (EFAULT) if its file has shrunk."""
        found = []
        while len(view):
            count = os.pwrite(self._file, view[:_CHUNK], 0)
            found.append(os.pread(self._file, count, 0))
            view = view[count:]
        return b"".join(found)

    def _batch(self, views: Sequence[memoryview]) -> bytes:
        """The words of all views, or fewer bytes if some file has shrunk."""
        try:
            count = os.pwritev(self._file, views, 0)
        except OSError:
            return b""
        return os.pread(self._file, count, 0)

    def _singly(self, views: Sequence[memoryview]) -> bytes:
        return b"".join(self._batch([view]) or _SHRUNK for view in views)


def _file_in_memory() -> int:
    name = "tracer-glance"
    try:
        return os.memfd_create(name, os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL)
    except OSError:  # Linux before 6.3 does not know the flag, and later ones may insist on it
        return os.memfd_create(name, os.MFD_CLOEXEC)
