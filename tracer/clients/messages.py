# SPDX-License-Identifier: GPL-2.0-or-later
"""The module's netlink messages: requests, replies, and their encoding for pyroute2."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from pyroute2.netlink import nlmsg
from pyroute2.netlink.marshal import Marshal

from tracer.clients import wire
from tracer.clients.wire import Op


class request_message(nlmsg):  # type: ignore[misc]
    """A structured request, as pyroute2 writes it."""

    __slots__ = ()
    fields = (*wire.REQUEST_FIELDS, ("payload", "s"))


class reply_message(nlmsg):  # type: ignore[misc]
    """A structured reply, as pyroute2 reads it; ``payload`` is what follows the struct."""

    __slots__ = ()
    fields = wire.REPLY_FIELDS

    def decode(self) -> None:
        """Decode the struct, then take the payload that it announces."""
        super().decode()
        start = self.offset + wire.NLMSGHDR.size + wire.REPLY.size
        self["payload"] = bytes(self.data[start : start + self["size"]])


class MsgchanMarshal(Marshal):  # type: ignore[misc]
    """Decodes what the module sends on its netlink protocol."""

    # Only the types of replies. If the types of requests were here too, pyroute2 would decode
    # the request inside an error message, which has its header but not its payload.
    msg_map: ClassVar[dict[int, type[nlmsg]]] = {wire.TYPE_REPLY + op: reply_message for op in Op}


class Request(NamedTuple):
    """A structured request: sizes in bytes, delays in nanoseconds, ``error`` a positive errno."""

    op: Op
    payload: bytes = b""
    token: int = 0
    reply_size: int = 0
    error: int = 0
    handler_delay_ns: int = 0
    reply_delay_ns: int = 0
    ack: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether an answer comes even when all goes well: a reply, an ack or the wanted error."""
        return self.ack or self.error != 0 or self.op != Op.SINK


class Reply(NamedTuple):
    """One received message; ``error`` is a positive errno, 0 for an ack.

    Only a structured reply reports the module's delays (ns, see
    :class:`tracer.clients.wire.Waited`); they are 0 in other messages.
    """

    type: int
    seq: int
    token: int
    payload: bytes
    error: int
    handler_waited_ns: int = 0
    reply_waited_ns: int = 0
