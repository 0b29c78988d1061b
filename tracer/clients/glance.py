# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies bytes out of mapped files that their owners may shrink at any time.

To touch a mapping beyond the end of its file kills the process (SIGBUS). When the kernel
touches it instead, because it is to write these bytes into a pipe, it only says EFAULT.
One such call takes bytes of a thousand files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

_BATCH = 1000  # a call takes 1024 pieces (IOV_MAX), and their words fit into one page of a pipe
_CHUNK = 1 << 16
_WORD = 4


class Glance:
    """A pipe to copy through. One thread uses it."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._in)
        os.close(self._out)

    def words(self, views: Sequence[memoryview]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
        """The 32-bit words that the views (4 bytes each) show; 1 where a file has shrunk.

        So a file that has shrunk looks as if it had something new, and `copy` will tell.
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
            count = os.write(self._in, view[:_CHUNK])
            found.append(os.read(self._out, count))
            view = view[count:]
        return b"".join(found)

    def _batch(self, views: Sequence[memoryview]) -> bytes:
        """The words of all views, or fewer bytes if some file has shrunk."""
        try:
            count = os.writev(self._in, views)
        except OSError:
            return b""
        return os.read(self._out, count)

    def _singly(self, views: Sequence[memoryview]) -> bytes:
        return b"".join(self._batch([view]) or b"\1\0\0\0" for view in views)
