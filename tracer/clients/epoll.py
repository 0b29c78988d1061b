# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that uses pyroute2 the usual way: it waits for replies in epoll, in an asyncio loop.

:mod:`tracer.clients.netlink` has the client that blocks in the receive call instead.
"""

from __future__ import annotations

import errno
import os
import time

from pyroute2.netlink import NLM_F_REQUEST, NLMSG_ERROR
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket, NetlinkSocket

from tracer.clients import wire
from tracer.clients.messages import MsgchanMarshal, request_message
from tracer.clients.sends import CHANNEL_NETLINK, KIND_RECEIVE, KIND_SEND, SendLog
from tracer.clients.wire import Op, Waited

#: The size of an error message in bytes: its header, the error, the request's header.
_ERROR_BYTES = wire.NLMSGHDR.size + 4 + wire.NLMSGHDR.size
_now = time.monotonic_ns


class AsyncMsgchanSocket(AsyncNetlinkSocket):  # type: ignore[misc]
    """pyroute2's asynchronous socket with the module's messages and the user side's log."""

    marshal_class = MsgchanMarshal
    sending: tuple[int, int, int] = (0, 0, 0)
    """The request being sent: begin (ns), token, and the end of its send (ns; 0 before)."""
    portid = 0

    def send(self, data: bytes, flags: int = 0) -> int:
        """Send a buffer that pyroute2 has encoded, and log the send. Returns the bytes sent."""
        begin, token, _ = self.sending
        length, type_, _, seq, _ = wire.NLMSGHDR.unpack_from(data)
        code = 0
        try:
            return int(super().send(data, flags))
        except OSError as error:
            code = error.errno or errno.EIO
            raise
        finally:
            end = _now()
            self.sending = (begin, token, end)
            SendLog.for_thread().add(
                begin, end, token, 0, self.portid, seq, length, type_, code,
                CHANNEL_NETLINK, KIND_SEND, self.spec["family"],
            )  # fmt: skip


class EpollMsgchanSocket(NetlinkSocket):  # type: ignore[misc]
    """Structured requests through pyroute2's own send and receive, which waits in epoll.

    Use it from one thread only. In the log, a receive begins where the send ended,
    because pyroute2 starts to wait then. ``waited`` holds the module's delays for
    the last request that was answered.
    """

    async_class = AsyncMsgchanSocket
    waited = Waited()

    def __init__(self, portid: int = 0, proto: int | None = None) -> None:
        self.proto = wire.parameters().netlink_proto if proto is None else proto
        super().__init__(family=self.proto)
        self.asyncore.socket.bind((portid, 0))
        self.portid = self.asyncore.portid = self.asyncore.socket.getsockname()[0]
        SendLog.for_thread().follow_spool()

    def request(
        self,
        op: Op,
        payload: bytes = b"",
        *,
        token: int = 0,
        reply_size: int = 0,
        error: int = 0,
        handler_delay_ns: int = 0,
        reply_delay_ns: int = 0,
    ) -> bytes:
        """Send a request with ``nlm_request`` and wait; returns the reply's payload.

        ``op`` must be an operation that is answered by a reply (not a sink). Sizes are in
        bytes. Raises ``OSError`` with the errno of the module's answer.
        """
        self.asyncore.sending = (_now(), token, 0)
        message = request_message()
        values = (token, op, reply_size, len(payload), error, handler_delay_ns, reply_delay_ns, 0)
        for (name, _), value in zip(wire.REQUEST_FIELDS, values, strict=True):
            message[name] = value
        message["payload"] = payload
        try:
            (reply,) = self.nlm_request(message, wire.TYPE_REQUEST + op, NLM_F_REQUEST)
        except NetlinkError as failure:
            seq = message["header"]["sequence_number"]
            self._log_receive(token, seq, _ERROR_BYTES, NLMSG_ERROR, failure.code)
            raise OSError(failure.code, os.strerror(failure.code)) from failure
        header = reply["header"]
        size = (header["length"] + 3) & ~3
        self._log_receive(token, header["sequence_number"], size, header["type"], 0)
        self.waited = Waited(reply["handler_waited_ns"], reply["reply_waited_ns"])
        return bytes(reply["payload"])

    def _log_receive(self, token: int, seq: int, size: int, type_: int, error: int) -> None:
        begin = self.asyncore.sending[2]
        SendLog.for_thread().add(
            begin, _now(), token, 0, self.portid, seq, size, type_, error,
            CHANNEL_NETLINK, KIND_RECEIVE, self.proto,
        )  # fmt: skip
