# SPDX-License-Identifier: GPL-2.0-or-later
"""The threads that send a workload: a worker class for each channel, and what it measured."""

from __future__ import annotations

import errno
import select
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable

from tracer.clients import wire
from tracer.clients.icmp import IcmpListener, Pinger
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.sockopt import SockoptClient
from tracer.clients.wire import Op, Waited
from tracer.clients.workload import OPS, Workload, mix, token

#: The stages whose delays a channel's reply reports. setsockopt and icmp have no such reply.
TOLD = {"netlink": ("handler", "reply"), "getsockopt": ("handler", "copy")}
# With these errors the module refuses every such request, so a worker gives up at the first.
HOPELESS = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT}
_NOTIFICATION_DEADLINE_S = 5.0
_now = time.monotonic_ns


class Tally:
    """What one thread measured on one channel, in arrays allocated before the first request."""

    def __init__(self, channel: str, count: int) -> None:
        self.channel = channel
        self.latency = array("q", bytes(8 * count))
        self.lateness = array("q", bytes(8 * count))
        self.waited = {stage: array("q", bytes(8 * count)) for stage in TOLD.get(channel, ())}
        self.done = self.errors = self.mismatches = 0
        self.first_error = ""

    def answered(self, begin: int, end: int, intended: int, as_expected: bool) -> None:
        self.latency[self.done] = end - begin
        self.lateness[self.done] = begin - intended if intended else 0
        self.done += 1
        self.mismatches += not as_expected

    def waits(self, waited: Waited) -> None:
        """Note the module's delays for the last answered request."""
        for stage, told in self.waited.items():
            told[self.done - 1] = getattr(waited, f"{stage}_ns")

    def failed(self, error: OSError) -> None:
        """Count an error; raise it if every further request would fail with it too."""
        if error.errno in HOPELESS:
            raise error
        self.errors += 1
        self.first_error = self.first_error or str(error)


class _Pacer:
    """Waits until each request's intended time, at a constant rate."""

    def __init__(self, rate: float | None) -> None:
        self._period = 1e9 / rate if rate else 0.0
        self._start = self._number = 0

    def start(self) -> None:
        self._start = _now()

    def next(self) -> int:
        """Wait; returns the intended time in ns, 0 without pacing."""
        if not self._period:
            return 0
        intended = self._start + int(self._number * self._period)
        self._number += 1
        # Sleep instead of spinning, which would keep other threads from the interpreter lock.
        while (left := intended - _now()) > 0:
            time.sleep(left / 1e9)
        return intended


class Worker(ABC):
    """Sends one thread's requests on one channel."""

    kinds: tuple[str, ...]

    def __init__(self, workload: Workload, thread: int) -> None:
        self.load = workload
        self.thread = thread
        self.op = OPS[workload.op]
        self.tallies = {kind: Tally(kind, workload.count) for kind in self.kinds}
        self.begin_ns = self.end_ns = 0
        self._pacer = _Pacer(workload.rate)

    def run(self, gather: Callable[[], object], is_stopping: Callable[[], bool]) -> None:
        """Open, wait for the other threads, send, wait for them again, close.

        ``gather`` returns when all threads of the channel have called it; ``is_stopping``
        tells whether another one has failed.
        """
        self.open()
        try:
            gather()
            self.begin_ns = _now()
            self._pacer.start()
            for index in range(self.load.count):
                if is_stopping():
                    break
                for kind in self.kinds:
                    self._one(kind, index)
            self.end_ns = _now()
            gather()
            self.finish()
        finally:
            self.close()

    def _one(self, kind: str, index: int) -> None:
        tally = self.tallies[kind]
        number = token(self.load.seed, kind, self.thread, index)
        payload = wire.source_payload(number, self.load.size)
        expected = self.load.expected(number)
        intended = self._pacer.next()
        begin = _now()
        try:
            as_expected = self.send(kind, number, payload, expected, intended)
        except OSError as error:
            tally.failed(error)
        else:
            tally.answered(begin, _now(), intended, as_expected)
            tally.waits(self.waited())

    @abstractmethod
    def open(self) -> None:
        """Make the sockets; called in the thread that uses them."""

    @abstractmethod
    def send(self, kind: str, number: int, payload: bytes, expected: bytes, intended: int) -> bool:
        """Send one request and wait for its answer; returns whether that is as expected."""

    def waited(self) -> Waited:
        """The module's delays for the last request, as its reply reports them."""
        return Waited()

    @abstractmethod
    def finish(self) -> None:
        """What is left to do after every thread has sent all its requests."""

    @abstractmethod
    def close(self) -> None:
        """Close the sockets."""


class _NetlinkWorker(Worker):
    kinds = ("netlink",)

    def open(self) -> None:
        self._socket = MsgchanSocket()

    def send(self, kind: str, number: int, payload: bytes, expected: bytes, intended: int) -> bool:
        load = self.load
        reply = self._socket.request(
            self.op,
            payload,
            token=number,
            reply_size=load.reply_bytes,
            handler_delay_ns=load.handler_delay_ns,
            reply_delay_ns=load.reply_delay_ns,
            intended_ns=intended,
        )
        return reply == expected

    def waited(self) -> Waited:
        return self._socket.waited

    def finish(self) -> None:
        """Count the failed sinks: a sink is answered only by an error message."""
        while select.select([self._socket.fileno()], [], [], 0)[0]:
            reply = self._socket.receive()
            self.tallies["netlink"].failed(OSError(reply.error, "a sink failed"))

    def close(self) -> None:
        self._socket.close()


class _SockoptWorker(Worker):
    kinds = ("setsockopt", "getsockopt")

    def open(self) -> None:
        self._client = SockoptClient()

    def send(self, kind: str, number: int, payload: bytes, expected: bytes, intended: int) -> bool:
        load = self.load
        if kind == "setsockopt":
            self._client.set(
                Op.ECHO if self.op == Op.ECHO else Op.SINK,
                payload,
                token=number,
                handler_delay_ns=load.handler_delay_ns,
                intended_ns=intended,
            )
            return True
        reply = self._client.get(
            self.op,
            payload,
            token=number,
            reply_size=load.reply_bytes,
            handler_delay_ns=load.handler_delay_ns,
            copy_delay_ns=load.copy_delay_ns,
            intended_ns=intended,
        )
        return reply == expected

    def waited(self) -> Waited:
        return self._client.waited

    def finish(self) -> None:
        """Nothing is left to do: a call is complete when it returns."""

    def close(self) -> None:
        self._client.close()


class _IcmpWorker(Worker):
    """Pings a loopback address that no other thread pings, to know its own notifications."""

    kinds = ("icmp",)

    def open(self) -> None:
        self._address = f"127.1.{self.thread >> 8}.{(self.thread & 0xFF) + 1}"
        self._listener = IcmpListener()
        try:
            self._listener.register()
            self._pinger = Pinger(mix(self.load.seed), self._address)
        except OSError:
            self._listener.close()
            raise

    def send(self, kind: str, number: int, payload: bytes, expected: bytes, intended: int) -> bool:
        self._pinger.ping(number, payload)
        # True stands for the echo request, whose destination is our address; False for its reply.
        missing = {True, False}
        while missing:
            heard = self._listener.receive(_NOTIFICATION_DEADLINE_S)
            if heard is None:
                raise TimeoutError(errno.ETIMEDOUT, "a ping was not notified")
            if self._address in heard:
                missing.discard(heard.destination == self._address)
        return True

    def finish(self) -> None:
        """Unregister. Its ack is queued behind all notifications, so they are all read then."""
        self._listener.unregister()

    def close(self) -> None:
        self._listener.close()
        self._pinger.close()


WORKERS: dict[str, type[Worker]] = {
    "netlink": _NetlinkWorker,
    "sockopt": _SockoptWorker,
    "icmp": _IcmpWorker,
}
