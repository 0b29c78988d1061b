# SPDX-License-Identifier: GPL-2.0-or-later
"""The user side's own log: which message was sent or received, when, by which thread.

A thread writes 64-byte entries into memory that was mapped beforehand, so an entry
costs one ``struct.pack_into``. The recorder sets the environment variable
``TRACER_SENDS`` to its spool directory. Then the memory is a file below that directory
(:mod:`tracer.clients.log_file`), which the recorder reads while it grows and which
remains when the program is killed. Without the variable, the last entries of each thread
are kept in anonymous memory. The files of a user's programs lie in a directory that only
this user can enter; :mod:`tracer.clients.spool_reader`, which reads them, says why.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import threading
import weakref
from typing import TYPE_CHECKING, Any

from tracer.clients.log_file import BLOCK_BYTES, WINDOW_BYTES, Block, new_file
from tracer.errors import TracerError

if TYPE_CHECKING:
    import numpy as np

SPOOL_VARIABLE = "TRACER_SENDS"

CHANNEL_NETLINK, CHANNEL_SETSOCKOPT, CHANNEL_GETSOCKOPT, CHANNEL_NOTIFY = range(4)
KIND_SEND, KIND_RECEIVE, KIND_CALL = range(3)

# As `tracer.clients.entry.SEND_DTYPE`, whose last field is written last. Each value that is packed
# costs about 10 ns: tid and tgid, which stay the same, are one, and nothing is given for the
# padding. Native ``L`` is what ``<Q`` is, and packed 10 ns faster.
_ENTRY = struct.Struct("@LLLLLIIIHHBBBxI")
_pack_into = _ENTRY.pack_into
# Map all pages at once, so that they cost no entry a page fault.
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE

_logs: weakref.WeakSet[SendLog] = weakref.WeakSet()
_of_thread = threading.local()


class SendLog:
    """The log of one thread; get it by `for_thread`, never share it."""

    __slots__ = (
        "__weakref__",
        "_block",
        "_end",
        "_number",
        "_offset",
        "_spool",
        "_who",
    )

    def __init__(self) -> None:
        self._block: Any = None  # a mapping, from the first entry on
        self._offset = self._end = 0  # where the next entry goes, and how far there is room
        self._number = 0  # number of the next file: files sort in the order of their entries
        self._who = 0  # the thread's id, and above its 32 bits that of the process
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
        """Log one message; the arguments are the fields of an entry.

        :data:`tracer.clients.entry.SEND_DTYPE` says what they mean.

        Raises `TracerError` when a new file of the spool cannot be made.
        """
        offset = self._offset
        if offset == self._end:
            offset = self._renew()
        _pack_into(
            self._block,
            offset,
            begin_ns,
            end_ns,
            token,
            intended_ns,
            self._who,
            portid,
            seq,
            size,
            type_,
            error,
            channel,
            kind,
            proto,
            1,
        )
        self._offset = offset + 64

    def entries(self) -> np.ndarray[Any, Any]:
        """A copy of the entries in the current block, oldest first.

        They are an array of :data:`tracer.clients.entry.SEND_DTYPE`, for programs that read
        their own log. A block that is full is replaced or overwritten, so these are at most
        4096 entries, and after a new block was begun only those since then.
        """
        # Late: a program that only writes its log needs no numpy.
        import numpy as np

        from tracer.clients.entry import SEND_DTYPE

        if self._block is None:
            return np.zeros(0, SEND_DTYPE)
        return np.frombuffer(self._block[: self._offset], SEND_DTYPE)

    def forget(self) -> None:
        """Write no more into the current block; the next entry begins a new one."""
        self._block = None
        self._offset = self._end = 0

    def follow_spool(self) -> None:
        """Begin a new block if ``TRACER_SENDS`` has changed since the current one was begun.

        Clients call this when they are opened, because a running program may set the
        variable itself, as ``tracer.capture`` does for its own process.
        """
        if self._spool != os.environ.get(SPOOL_VARIABLE):
            self.forget()

    def _renew(self) -> int:
        """Make room where there is none; returns the offset of the next entry.

        A new file is made only when the one before is full. The reader relies on that: what
        it finds in a file is younger than everything in those before.
        """
        if 0 < self._offset < BLOCK_BYTES:
            return self._open_window(self._offset)
        tgid = os.getpid()
        tid = threading.get_native_id()
        self._who = tgid << 32 | tid
        spool = os.environ.get(SPOOL_VARIABLE)
        file = self._new_file(spool, f"{tgid}-{tid}") if spool else None
        self._spool = spool
        if file is not None:
            self._block = file
            return self._open_window(0)
        if self._block is None or spool:
            self._block = mmap.mmap(-1, BLOCK_BYTES, flags=_PRIVATE)
        self._end = BLOCK_BYTES
        return 0

    def _open_window(self, offset: int) -> int:
        self._block.open_window(offset)
        self._end = offset + WINDOW_BYTES
        return offset

    def _new_file(self, spool: str, writer: str) -> Block | None:
        """Make a new file of the spool; None if this log wrote there before and the spool is gone.

        A recorder removes its spool when it ends. The program then goes on without one.
        """
        try:
            file, self._number = new_file(spool, writer, self._number)
        except FileNotFoundError as error:
            if self._spool == spool:
                return None
            raise _no_spool(spool, error) from error
        except OSError as error:
            raise _no_spool(spool, error) from error
        return file


def _no_spool(spool: str, error: OSError) -> TracerError:
    return TracerError(
        f"cannot log sends in {spool}",
        os.strerror(error.errno or errno.EIO),
        f"unset {SPOOL_VARIABLE} or let it name a directory with room",
    )


def _forget_all() -> None:
    """Called in a forked child: it must not write into its parent's files."""
    for log in _logs:
        log.forget()


os.register_at_fork(after_in_child=_forget_all)
