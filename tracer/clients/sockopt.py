# SPDX-License-Identifier: GPL-2.0-or-later
"""Client of the module's socket options, and the functions that read its counters.

A structured get passes its request in the buffer that the reply then overwrites.
Python's ``socket.getsockopt`` cannot pass a filled buffer, so gets call the C library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import time

from tracer.clients import wire
from tracer.clients.sends import (
    CHANNEL_GETSOCKOPT,
    CHANNEL_SETSOCKOPT,
    KIND_CALL,
    SendLog,
)
from tracer.clients.wire import Op, Waited

_ROOM = wire.REQUEST.size + wire.PAYLOAD_MAX
_HEAD = wire.REQUEST.size
_REPLY_HEAD = wire.REPLY.size
_PORT_READINGS = 5
_now = time.monotonic_ns

_getsockopt = ctypes.CDLL(None, use_errno=True).getsockopt
_getsockopt.argtypes = (
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_getsockopt.restype = ctypes.c_int


class SockoptClient:
    """Sets and gets the module's two socket options: plain text, and structured requests.

    Each call makes one system call and one log entry. Use it from one thread only.
    Failures are `OSError` with the errno of the call.
    """

    def __init__(self, base: int | None = None) -> None:
        base = wire.parameters().sockopt_base if base is None else base
        self._text_word = base + wire.SO_TEXT
        self._request_word = base + wire.SO_REQUEST
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._fd = self._socket.fileno()
        self._buffer = bytearray(_ROOM)
        self._length = ctypes.c_uint()
        self._length_address = ctypes.addressof(self._length)
        self._address = self._pin()
        # How many bytes of a structured reply the buffer holds now; 0: it holds none.
        self._replied = 0
        SendLog.for_thread().follow_spool()

    @property
    def waited(self) -> Waited:
        """The module's delays for the last call, if that was a `get` whose reply header fit.

        All zero after other calls.
        """
        if self._replied < _REPLY_HEAD:
            return Waited()
        _, _, _, in_handler, _, in_copy = wire.REPLY.unpack_from(self._buffer)
        return Waited(handler_ns=in_handler, copy_ns=in_copy)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> SockoptClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set(
        self,
        op: Op,
        payload: bytes = b"",
        *,
        token: int = 0,
        error: int = 0,
        handler_delay_ns: int = 0,
        intended_ns: int = 0,
    ) -> None:
        """Send a structured request by setsockopt. The module takes echo and sink only."""
        begin = _now()
        size = self._encode(op, payload, token, 0, error, handler_delay_ns, 0)
        self._set(begin, self._request_word, size, token, intended_ns)

    def get(
        self,
        op: Op,
        payload: bytes = b"",
        *,
        token: int = 0,
        reply_size: int = 0,
        error: int = 0,
        handler_delay_ns: int = 0,
        copy_delay_ns: int = 0,
        room: int | None = None,
        intended_ns: int = 0,
    ) -> bytes:
        """Send a structured request by getsockopt; returns the reply's payload.

        ``room`` is the length in bytes that is passed to the call, at which the module cuts the
        reply; by default the request and the whole reply fit.
        """
        begin = _now()
        size = self._encode(op, payload, token, reply_size, error, handler_delay_ns, copy_delay_ns)
        if room is None:
            room = max(size, wire.REPLY.size + reply_size)
        self._replied = got = self._get(begin, self._request_word, room, token, intended_ns)
        return bytes(memoryview(self._buffer)[_REPLY_HEAD:got])

    def set_text(self, text: bytes) -> None:
        """Set the plain-text option: the module stores the text and logs it."""
        begin = _now()
        self._reserve(len(text))
        self._buffer[: len(text)] = text
        self._set(begin, self._text_word, len(text), 0, 0)

    def get_text(self, room: int = wire.TEXT_MAX) -> bytes:
        """Get the plain-text option; the module cuts its answer to ``room`` bytes."""
        begin = _now()
        self._reserve(room)
        got = self._get(begin, self._text_word, room, 0, 0)
        return bytes(memoryview(self._buffer)[:got])

    def query(self, op: Op, payload: bytes = b"", reply_size: int = 0) -> bytes:
        """A get without a log entry, for STATS and PORTS, which the module does not count.

        Returns the reply's payload, at most ``reply_size`` bytes. Raises `OSError`.
        """
        size = self._encode(op, payload, 0, reply_size, 0, 0, 0)
        got = self._call_get(self._request_word, max(size, wire.REPLY.size + reply_size))
        if got < 0:
            raise OSError(-got, os.strerror(-got))
        return bytes(memoryview(self._buffer)[wire.REPLY.size : got])

    def _pin(self) -> int:
        """The address of the buffer, which then cannot be resized: the C library writes to it."""
        self._pinned = (ctypes.c_char * len(self._buffer)).from_buffer(self._buffer)
        return ctypes.addressof(self._pinned)

    def _reserve(self, size: int) -> None:
        """Make room in the buffer for the next call, and forget the reply that it held."""
        self._replied = 0
        if size > len(self._buffer):
            self._buffer = bytearray(size)
            self._address = self._pin()

    def _encode(
        self,
        op: Op,
        payload: bytes,
        token: int,
        reply_size: int,
        error: int,
        handler_delay_ns: int,
        copy_delay_ns: int,
    ) -> int:
        size = len(payload)
        self._reserve(max(_HEAD + size, wire.REPLY.size + reply_size))
        wire.REQUEST.pack_into(
            self._buffer, 0,
            token, op, reply_size, size, error, handler_delay_ns, 0, copy_delay_ns,
        )  # fmt: skip
        self._buffer[_HEAD : _HEAD + size] = payload
        return _HEAD + size

    def _set(self, begin: int, word: int, size: int, token: int, intended_ns: int) -> None:
        failure = None
        try:
            self._socket.setsockopt(socket.SOL_IP, word, memoryview(self._buffer)[:size])
        except OSError as error:
            failure = error
        end = _now()
        code = failure.errno or errno.EIO if failure else 0
        SendLog.for_thread().add(
            begin, end, token, intended_ns, 0, 0, size, word, code,
            CHANNEL_SETSOCKOPT, KIND_CALL, 0,
        )  # fmt: skip
        if failure:
            raise failure

    def _get(self, begin: int, word: int, room: int, token: int, intended_ns: int) -> int:
        self._reserve(room)
        got = self._call_get(word, room)
        end = _now()
        code, size = (-got, room) if got < 0 else (0, got)
        SendLog.for_thread().add(
            begin, end, token, intended_ns, 0, 0, size, word, code,
            CHANNEL_GETSOCKOPT, KIND_CALL, 0,
        )  # fmt: skip
        if code:
            raise OSError(code, os.strerror(code))
        return got

    def _call_get(self, word: int, room: int) -> int:
        """Make the system call; returns the number of bytes got, or a negative errno."""
        self._length.value = room
        if _getsockopt(self._fd, socket.SOL_IP, word, self._address, self._length_address):
            return -ctypes.get_errno()
        return self._length.value


def read_counters() -> dict[str, dict[str, int]]:
    """The module's counters by channel (`wire.CHANNELS`) and name; neither logged nor counted."""
    with SockoptClient() as client:
        data = client.query(Op.STATS, reply_size=len(wire.CHANNELS) * wire.COUNTERS.size)
    rows = wire.COUNTERS.iter_unpack(data)
    return {name: _named(row) for name, row in zip(wire.CHANNELS, rows, strict=True)}


def read_ports() -> dict[int, dict[str, int]]:
    """The module's netlink counters by port id; neither logged nor counted.

    Port id 0 counts what has no entry of its own, such as the requests of ports that were
    evicted from a full table (see ``struct msgchan_port`` in kmod/msgchan.h). If a port is
    evicted between the readings of two pages of the table, its counts would be in both or in
    neither, so the table is read again, at most 5 times in all.
    """
    with SockoptClient() as client:
        for _ in range(_PORT_READINGS):
            found, is_steady = _read_ports(client)
            if is_steady:
                break
    return found


def _read_ports(client: SockoptClient) -> tuple[dict[int, dict[str, int]], bool]:
    """The table, page by page, and whether no port was evicted between two pages."""
    found: dict[int, dict[str, int]] = {}
    page = wire.PAYLOAD_MAX // wire.PORT.size * wire.PORT.size
    gone = set()
    last = 0
    while True:
        data = client.query(Op.PORTS, struct.pack("=Q", last), reply_size=page)
        (_, _, made_room, _), *rows = entries = list(wire.PORT.iter_unpack(data))
        gone.add(made_room)
        for portid, _, _, counters in entries:
            found[portid] = _named(wire.COUNTERS.unpack(counters))
        if len(data) < page:
            return found, len(gone) == 1
        last = rows[-1][2]


def _named(counters: tuple[int, ...]) -> dict[str, int]:
    return {name: n for (name, _), n in zip(wire.COUNTERS_FIELDS, counters, strict=True)}
