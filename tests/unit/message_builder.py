# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of the module as they come from its socket."""

from __future__ import annotations

from tracer.clients import wire
from tracer.clients.wire import Op


def reply(op: Op, token: int, payload: bytes, seq: int = 1) -> bytes:
    """A structured reply, padded to four bytes."""
    length = 16 + wire.REPLY.size + len(payload)
    head = wire.NLMSGHDR.pack(length, wire.TYPE_REPLY + op, 0, seq, 66)
    return (head + wire.REPLY.pack(token, op, len(payload), 7, 9, 0) + payload).ljust(
        (length + 3) & ~3, b"\0"
    )
