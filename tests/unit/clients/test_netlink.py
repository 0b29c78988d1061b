# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes over the wire, as pyroute2 and the direct path write and read it."""

from __future__ import annotations

import struct

import pytest
from message_builder import reply
from pyroute2.netlink import NLM_F_REQUEST

from tracer.clients import wire
from tracer.clients.messages import Request, request_message
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.wire import Op


def pyroute2_bytes(asked: Request, seq: int) -> bytes:
    message = request_message()
    values = (asked.token, asked.op, asked.reply_size, len(asked.payload), asked.error,
              asked.handler_delay_ns, asked.reply_delay_ns, 0)  # fmt: skip
    for (name, _), value in zip(wire.REQUEST_FIELDS, values, strict=True):
        message[name] = value
    message["payload"] = asked.payload
    message["header"]["type"] = wire.TYPE_REQUEST + asked.op
    message["header"]["flags"] = NLM_F_REQUEST
    message["header"]["sequence_number"] = seq
    message.encode()
    return bytes(message.data)


@pytest.mark.parametrize("payload", [b"", b"x", b"four", bytes(range(101))])
def test_both_paths_write_the_same_bytes(payload: bytes) -> None:
    asked = Request(Op.SOURCE, payload, 2**64 - 1, 7, 95, 1000, 2000)
    direct = MsgchanSocket.__new__(MsgchanSocket)
    direct._out = bytearray(1024)
    length = direct._encode(0, asked, 23)
    written = bytes(direct._out[:length])
    other = pyroute2_bytes(asked, 23)
    assert written[4:] == other[4 : len(written)]
    assert struct.unpack_from("=I", written)[0] == 64 + len(payload)


def decoded(data: bytes, size: int | None = None) -> tuple[object, ...]:
    direct = MsgchanSocket.__new__(MsgchanSocket)
    direct._in = bytearray(data)
    return tuple(direct._decode(len(data) if size is None else size, 5))


def test_the_direct_path_reads_a_reply() -> None:
    assert decoded(reply(Op.ECHO, 7, b"abc", seq=9)) == (0x20, 9, 7, b"abc", 0, 7, 9)


def test_the_direct_path_reads_errors_and_acks() -> None:
    for code in (0, 95):
        data = wire.NLMSGHDR.pack(36, 2, 0x100, 9, 66) + struct.pack("=i", -code) + bytes(16)
        assert decoded(data) == (2, 9, 5, b"", code, 0, 0)


def test_the_direct_path_reads_text() -> None:
    data = wire.NLMSGHDR.pack(27, 30, 0, 0, 66) + b"hello users\0"
    assert decoded(data) == (30, 0, 5, b"hello users", 0, 0, 0)


def test_a_message_that_did_not_fit_is_an_error() -> None:
    assert decoded(reply(Op.ECHO, 7, b"abc"), size=1000) == (0x20, 1, 5, b"", 90, 0, 0)


def test_a_reply_too_short_for_its_struct_is_no_reply() -> None:
    data = wire.NLMSGHDR.pack(20, wire.TYPE_REPLY, 0, 1, 66) + b"abcd" + bytes(28)
    assert decoded(data) == (0x20, 1, 5, b"abcd", 0, 0, 0)
