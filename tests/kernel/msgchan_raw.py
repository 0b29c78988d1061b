# SPDX-License-Identifier: GPL-2.0-or-later
"""msgchan spoken by hand: raw bytes in and out, so that wrong ones can be sent too.

Deliberately not built on tracer.clients: the module is tested by itself.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from dataclasses import dataclass

PROTO, ICMP_PROTO, SOCKOPT = 30, 31, 10128
TEXT, REQUEST_TYPE, REPLY_TYPE, ERROR_TYPE = 0, 0x10, 0x20, 2
ECHO, SINK, SOURCE, STATS, PORTS = range(5)
SETSOCKOPT, GETSOCKOPT, NETLINK, ICMP = range(4)
U_PID, K_MSG, CLOSE = range(3)
F_REQUEST, F_ACK = 1, 4
PAYLOAD_MAX, DELAY_MAX_NS, PORTS_MAX = 65536, 10_000_000, 4096

NLMSGHDR = struct.Struct("=IHHII")
REQUEST = struct.Struct("=QIIIIQQQ")
REPLY = struct.Struct("=QIIQQQ")
COUNTERS = struct.Struct("=8Q")
PORT = struct.Struct("=IIQ8Q")

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Counters:
    requests: int = 0
    replies: int = 0
    copies: int = 0
    request_bytes: int = 0
    reply_bytes: int = 0
    errors: int = 0
    waited_ns: int = 0
    told: int = 0

    def __sub__(self, other: Counters) -> Counters:
        return Counters(*(a - b for a, b in zip(self.all(), other.all(), strict=True)))

    def all(self) -> tuple[int, ...]:
        return tuple(vars(self).values())


@dataclass(frozen=True)
class Message:
    type: int
    flags: int
    seq: int
    pid: int
    body: bytes


def request(
    op: int,
    payload: bytes = b"",
    *,
    token: int = 1,
    reply_size: int = 0,
    payload_size: int | None = None,
    error: int = 0,
    delays: tuple[int, int, int] = (0, 0, 0),
) -> bytes:
    """struct msgchan_request and its payload; delays: handler, reply, copy (ns)."""
    size = len(payload) if payload_size is None else payload_size
    return REQUEST.pack(token, op, reply_size, size, error, *delays) + payload


def message(
    kind: int, body: bytes = b"", *, flags: int = 0, seq: int = 1, length: int | None = None
) -> bytes:
    """One netlink message, padded to 4 bytes; ``length`` is a lie to tell in nlmsg_len."""
    size = NLMSGHDR.size + len(body) if length is None else length
    return NLMSGHDR.pack(size, kind, flags, seq, 0) + body + bytes(-len(body) % 4)


def parse(data: bytes) -> list[Message]:
    """The messages of one received buffer."""
    found = []
    while len(data) >= NLMSGHDR.size:
        size, kind, flags, seq, pid = NLMSGHDR.unpack_from(data)
        found.append(Message(kind, flags, seq, pid, data[NLMSGHDR.size : size]))
        data = data[(size + 3) & ~3 :]
    return found


def opened(proto: int = PROTO, portid: int = 0) -> socket.socket:
    """A netlink socket that gives up waiting after 10 seconds."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, proto)
    sock.bind((portid, 0))
    sock.settimeout(10)
    return sock


def receive(sock: socket.socket) -> Message:
    (found,) = parse(sock.recv(1 << 17))
    return found


def errno_of(reply: Message) -> int:
    """The positive errno of an ack (0) or an error message."""
    assert reply.type == ERROR_TYPE
    return -struct.unpack_from("=i", reply.body)[0]


def ask(sock: socket.socket, op: int, payload: bytes = b"", **fields: object) -> bytes:
    """The payload of the reply to a structured request on netlink; OSError if it fails."""
    sock.send(message(REQUEST_TYPE + op, request(op, payload, **fields), seq=7))
    reply = receive(sock)
    assert reply.seq == 7
    if reply.type == ERROR_TYPE:
        raise OSError(errno_of(reply), os.strerror(errno_of(reply)))
    assert reply.type == REPLY_TYPE + op
    return answer(reply.body, op, **fields)[1]


def answer(body: bytes, op: int, **fields: object) -> tuple[tuple[int, int, int], bytes]:
    """What a structured reply tells that was waited (handler, reply, copy; ns); its payload."""
    token, answered, size, *waited = REPLY.unpack_from(body)
    assert (token, answered) == (fields.get("token", 1), op)
    assert size == len(body) - REPLY.size
    in_handler, in_reply, in_copy = waited
    return (in_handler, in_reply, in_copy), body[REPLY.size :]


def stats(sock: socket.socket | None = None) -> list[Counters]:
    """The counters of this network namespace, by channel."""
    with sock or opened() as asker:
        return [Counters(*row) for row in COUNTERS.iter_unpack(ask(asker, STATS))]


def port_rows() -> list[tuple[int, ...]]:
    """The port table, as PORT has it, in order of first use: first port id 0, the others'."""
    found: list[tuple[int, ...]] = []
    last = 0
    with opened() as sock:
        while True:
            reply = ask(sock, PORTS, struct.pack("=Q", last), reply_size=PAYLOAD_MAX)
            other, *rows = PORT.iter_unpack(reply)
            found = [other, *found[1:], *rows]
            if not rows:
                return found
            last = rows[-1][2]


def ports() -> dict[int, Counters]:
    """The counters of this network namespace by port id, in order of first use."""
    return {row[0]: Counters(*row[3:]) for row in port_rows()}


def getsockopt(sock: socket.socket, option: int, sent: bytes, room: int | None = None) -> bytes:
    """getsockopt() with a buffer that is read before it is written.

    ``room`` is the length told to the kernel; what lies behind it is checked.
    """
    told = len(sent) if room is None else room
    guard = b"\xa5" * 64
    size = max(told, len(sent), 0)
    buffer = ctypes.create_string_buffer(sent.ljust(size, b"\0") + guard, size + len(guard))
    length = ctypes.c_int(told)
    failed = libc.getsockopt(sock.fileno(), 0, option, buffer, ctypes.byref(length))
    assert buffer.raw[size:] == guard, "the kernel wrote beyond the room it was given"
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    assert 0 <= length.value <= told
    return buffer.raw[: length.value]


def get(sock: socket.socket, op: int, payload: bytes = b"", **fields: object) -> bytes:
    """The payload of the reply to a structured getsockopt."""
    room = REQUEST.size + len(payload) + int(fields.get("reply_size", 0)) + 256
    reply = getsockopt(sock, SOCKOPT + 1, request(op, payload, **fields), room)
    return answer(reply, op, **fields)[1]
