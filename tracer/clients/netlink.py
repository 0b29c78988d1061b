# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of the module's netlink protocols, on pyroute2's sockets.

`MsgchanSocket` makes one system call to send and one to receive, in the calling
thread, on a socket that pyroute2 made. pyroute2's own methods run an asyncio loop
for each call and wait in epoll; the client in :mod:`tracer.clients.epoll` uses
those, to be traced as a usual pyroute2 program is. Both write the user side's log.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket, NetlinkSocket

from tracer.clients import wire
from tracer.clients.messages import MsgchanMarshal, Reply, Request
from tracer.clients.sends import (
    CHANNEL_NETLINK,
    CHANNEL_NOTIFY,
    KIND_RECEIVE,
    KIND_SEND,
    SendLog,
)
from tracer.clients.wire import Op, Waited

DEADLINE_S = 10.0
"""How long a receive waits unless told otherwise."""

_HEAD = wire.NLMSGHDR.size
_HEADS = wire.MESSAGE.size
_LARGEST = _HEADS + wire.PAYLOAD_MAX
_REPLY_TYPES = range(wire.TYPE_REPLY, wire.TYPE_REPLY + len(Op))
_ERROR = struct.Struct("=i")
_TIMEVAL = struct.Struct("@ll")
_now = time.monotonic_ns


class _NoTransport(AsyncNetlinkSocket):  # type: ignore[misc]
    """Makes the socket without handing it to asyncio, whose epoll would wake at each message."""

    marshal_class = MsgchanMarshal

    async def setup_endpoint(self) -> None:
        """Do nothing, so that the socket stays blocking and in no event loop."""


class DirectSocket(NetlinkSocket):  # type: ignore[misc]
    """A netlink socket of one protocol for direct system calls, with the user side's log.

    One thread sends; another may receive. ``portid`` 0 lets the kernel choose.
    Raises `OSError` when the protocol does not exist or the port id is taken.
    """

    async_class = _NoTransport
    notification_type: int | None = None
    """The message type of notifications, which answer no request; None if there are none."""

    def __init__(self, proto: int, portid: int = 0, first_seq: int = 1) -> None:
        super().__init__(family=proto)
        self._raw: socket.socket = self.asyncore.socket
        self.asyncore.event_loop.close()
        try:
            self._raw.bind((portid, 0))
        except OSError:
            self.close()
            raise
        self.proto = proto
        self.portid: int = self._raw.getsockname()[0]
        self._seq = first_seq - 1
        self._out = bytearray(_LARGEST)
        self._in = bytearray(_LARGEST)
        self._deadline_us = 0
        self.set_deadline(DEADLINE_S)
        SendLog.for_thread().follow_spool()

    @property
    def fileno(self) -> Any:
        """The method that returns the descriptor: pyroute2's sockets have it as a property."""
        return self._raw.fileno

    def set_deadline(self, seconds: float) -> None:
        """Let receives time out after ``seconds``.

        The kernel keeps the time (``SO_RCVTIMEO``), so a receive stays one system call.
        """
        microseconds = max(1, int(seconds * 1e6))
        if microseconds == self._deadline_us:
            return
        self._deadline_us = microseconds
        self._raw.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(*divmod(microseconds, 1_000_000))
        )

    def send_message(
        self, type_: int, payload: bytes = b"", flags: int = NLM_F_REQUEST, seq: int | None = None
    ) -> int:
        """Send one message of any type; returns its sequence number."""
        begin = _now()
        seq = self._next_seq() if seq is None else seq
        length = _HEAD + len(payload)
        self._reserve(length)
        wire.NLMSGHDR.pack_into(self._out, 0, length, type_, flags, seq, 0)
        self._out[_HEAD:length] = payload
        self._send(begin, length, ((0, 0, seq, length, type_),))
        return seq

    def _next_seq(self) -> int:
        self._seq = seq = (self._seq + 1) & 0xFFFFFFFF
        return seq

    def _reserve(self, length: int) -> None:
        if length > len(self._out):
            self._out = bytearray(length)

    def _send(
        self, begin: int, length: int, messages: Iterable[tuple[int, int, int, int, int]]
    ) -> None:
        """Send the first ``length`` bytes of the out buffer, and log each message in it.

        ``messages`` holds (token, intended time, seq, size, type) of each.
        """
        failure = None
        try:
            self._raw.send(memoryview(self._out)[:length])
        except OSError as error:
            failure = error
        end = _now()
        code = failure.errno or errno.EIO if failure else 0
        add = SendLog.for_thread().add
        for token, intended, seq, size, type_ in messages:
            add(
                begin, end, token, intended, self.portid, seq, size, type_, code,
                CHANNEL_NETLINK, KIND_SEND, self.proto,
            )  # fmt: skip
        if failure:
            raise failure

    def _receive(self, token: int = 0) -> Reply:
        """Receive one message; ``token`` is logged if the message itself has none."""
        begin = _now()
        try:
            size = self._raw.recv_into(self._in, 0, socket.MSG_TRUNC)
        except OSError as failure:
            code = failure.errno or errno.EIO
            self._log_receive(begin, token, 0, 0, self.notification_type or 0, code)
            if code == errno.EAGAIN:
                raise TimeoutError(errno.ETIMEDOUT, "no message before the deadline") from None
            raise
        reply = self._decode(size, token)
        self._log_receive(
            begin, reply.token, reply.seq, min(size, len(self._in)), reply.type, reply.error
        )
        return reply

    def _decode(self, size: int, token: int) -> Reply:
        """Decode the received message; ``size`` may be larger than the buffer (``MSG_TRUNC``)."""
        length, type_, _, seq, _ = wire.NLMSGHDR.unpack_from(self._in)
        if size > len(self._in):
            return Reply(type_, seq, token, b"", errno.EMSGSIZE)
        if type_ == NLMSG_ERROR:
            return Reply(type_, seq, token, b"", -_ERROR.unpack_from(self._in, _HEAD)[0])
        start, in_handler, in_reply = _HEAD, 0, 0
        if type_ in _REPLY_TYPES and length >= _HEAD + wire.REPLY.size:
            token, _, _, in_handler, in_reply, _ = wire.REPLY.unpack_from(self._in, _HEAD)
            start += wire.REPLY.size
        payload = bytes(memoryview(self._in)[start:length])
        return Reply(type_, seq, token, payload, 0, in_handler, in_reply)

    def _log_receive(
        self, begin: int, token: int, seq: int, size: int, type_: int, error: int
    ) -> None:
        end = _now()
        is_notification = self.notification_type is not None and type_ == self.notification_type
        channel = CHANNEL_NOTIFY if is_notification else CHANNEL_NETLINK
        SendLog.for_thread().add(
            begin, end, token, 0, self.portid, seq, size, type_, error,
            channel, KIND_RECEIVE, self.proto,
        )  # fmt: skip


class MsgchanSocket(DirectSocket):
    """Plain text and structured requests on the module's netlink protocol.

    Failures are `OSError` with the errno that the kernel or the module gave;
    `TimeoutError` when no answer came before the deadline.
    """

    def __init__(self, portid: int = 0, proto: int | None = None, first_seq: int = 1) -> None:
        super().__init__(wire.parameters().netlink_proto if proto is None else proto,
                         portid, first_seq)  # fmt: skip
        self.strays = 0
        """How many messages `request` and `wait` received that answered another request."""
        self._replied: Reply | None = None

    @property
    def waited(self) -> Waited:
        """The module's delays for the last request that was answered by a reply."""
        last = self._replied
        return Waited(last.handler_waited_ns, last.reply_waited_ns) if last else Waited()

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
        ack: bool = False,
        intended_ns: int = 0,
    ) -> bytes:
        """Send one request and wait until it is complete; returns the reply's payload.

        A request is complete when its reply has come; with ``ack`` when its ack has come,
        which follows the reply. A sink has no reply: without ``ack`` this returns at once.
        Sizes are in bytes, ``intended_ns`` (CLOCK_MONOTONIC) is only logged.
        """
        asked = Request(
            op, payload, token, reply_size, error, handler_delay_ns, reply_delay_ns, ack
        )
        seq = self.send_request(asked, intended_ns=intended_ns)
        return self.wait(seq, asked) if asked.is_answered else b""

    def wait(self, seq: int, asked: Request) -> bytes:
        """Receive until the request sent as ``seq`` is complete; returns the reply's payload."""
        payload = b""
        while True:
            reply = self._receive(asked.token)
            if reply.seq != seq:
                self.strays += 1
                continue
            if reply.error:
                raise OSError(reply.error, os.strerror(reply.error))
            if reply.type == NLMSG_ERROR:
                return payload
            payload, self._replied = reply.payload, reply
            if not asked.ack:
                return payload

    def send_request(self, asked: Request, *, seq: int | None = None, intended_ns: int = 0) -> int:
        """Send one request and do not wait; returns its sequence number."""
        begin = _now()
        seq = self._next_seq() if seq is None else seq
        self._reserve(_HEADS + len(asked.payload))
        length = self._encode(0, asked, seq)
        type_ = wire.TYPE_REQUEST + asked.op
        self._send(begin, length, ((asked.token, intended_ns, seq, length, type_),))
        return seq

    def send_batch(self, batch: Iterable[Request]) -> list[int]:
        """Send several requests by one system call; returns their sequence numbers."""
        begin = _now()
        offset, sent = 0, []
        requests = list(batch)
        self._reserve(sum(_HEADS + len(asked.payload) + 3 for asked in requests))
        for asked in requests:
            seq = self._next_seq()
            length = self._encode(offset, asked, seq)
            sent.append((asked.token, 0, seq, length, wire.TYPE_REQUEST + asked.op))
            offset += (length + 3) & ~3
        self._send(begin, offset, sent)
        return [seq for _, _, seq, _, _ in sent]

    def receive(self, token: int = 0) -> Reply:
        """Receive one message; an error message is returned, not raised.

        Another thread may receive than the one that sends.

        ``token`` is logged for a message that carries none (text, acks, errors).
        """
        return self._receive(token)

    def text(self, text: bytes, flags: int = 0, seq: int | None = None) -> bytes:
        """Send plain text, as the tutorials' clients do, and return the answer."""
        sent = self.send_message(wire.TYPE_TEXT, text, flags, seq)
        return self.wait(sent, Request(Op.ECHO, ack=bool(flags & NLM_F_ACK)))

    def _encode(self, offset: int, asked: Request, seq: int) -> int:
        """Write one message into the out buffer; returns its length without padding."""
        op, payload, token, reply_size, error, handler_delay, reply_delay, ack = asked
        size = len(payload)
        length = _HEADS + size
        wire.MESSAGE.pack_into(
            self._out, offset,
            length, wire.TYPE_REQUEST + op, NLM_F_REQUEST | NLM_F_ACK if ack else NLM_F_REQUEST,
            seq, 0,
            token, op, reply_size, size, error, handler_delay, reply_delay, 0,
        )  # fmt: skip
        start = offset + _HEADS
        self._out[start : start + size] = payload
        return length
