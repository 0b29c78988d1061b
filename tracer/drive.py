# SPDX-License-Identifier: GPL-2.0-or-later
"""A known workload over the module's channels.

Every request has a token that follows from seed, channel, thread and index; a
payload follows from its token, so that whoever knows the seed knows every
byte. Channels are driven one after another, each by its own threads.
"""

from __future__ import annotations

import errno
import select
import threading
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tracer.clients import wire
from tracer.clients.icmp import IcmpListener, Pinger
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.sockopt import SockoptClient
from tracer.clients.wire import Op, Waited
from tracer.errors import TracerError

CHANNELS = ("netlink", "sockopt", "icmp")
OPS = {"echo": Op.ECHO, "sink": Op.SINK, "source": Op.SOURCE}
THREADS_MAX = 250
"""The module takes 256 ICMP listeners; this leaves room for others."""

PING_MAX = 65507
"""Payload bytes of the largest ping."""

_SLOTS = ("netlink", "setsockopt", "getsockopt", "icmp")
#: The delays of which a channel's reply tells how long they were; a set has no reply.
_TOLD = {"netlink": ("handler", "reply"), "getsockopt": ("handler", "copy")}
# What a request is refused for will not mend itself by asking again.
_HOPELESS = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT}
_NOTIFICATION_DEADLINE_S = 5.0
_now = time.monotonic_ns


@dataclass(frozen=True)
class Workload:
    """What to send. Sizes in bytes, delays in nanoseconds.

    ``count`` is per thread and channel; the channel sockopt does a set and a
    get for each. ``rate`` is requests per second and thread, None for one
    after another. A delay that a channel does not have (`reply` without
    netlink, `copy` without a get) is left out there.
    """

    channels: tuple[str, ...] = CHANNELS
    count: int = 1000
    size: int = 64
    reply_size: int | None = None
    threads: int = 1
    rate: float | None = None
    handler_delay_ns: int = 0
    reply_delay_ns: int = 0
    copy_delay_ns: int = 0
    seed: int = 1
    op: str = "echo"

    def check(self) -> None:
        """Raise `TracerError` for what the module would refuse."""
        delays = {
            "handler": self.handler_delay_ns,
            "reply": self.reply_delay_ns,
            "copy": self.copy_delay_ns,
        }
        for name, delay in delays.items():
            if not 0 <= delay <= wire.DELAY_MAX_NS:
                raise _misuse(
                    f"a {name} delay of {delay / 1e6:g} ms", "the module takes at most 10 ms"
                )
        for name, size in (("", self.size), ("reply ", self.reply_bytes)):
            if not 0 <= size <= wire.PAYLOAD_MAX:
                raise _misuse(
                    f"a {name}size of {size} bytes", f"the module takes at most {wire.PAYLOAD_MAX}"
                )
        if "icmp" in self.channels and self.size > PING_MAX:
            raise _misuse(f"pings of {self.size} bytes", f"IP carries at most {PING_MAX}")
        for channel in self.channels:
            if channel not in CHANNELS:
                raise _misuse(f"channel {channel}", f"there are {', '.join(CHANNELS)} and all")
        if self.op not in OPS:
            raise _misuse(f"operation {self.op}", f"there are {', '.join(OPS)}")
        if self.count < 1 or not 1 <= self.threads <= THREADS_MAX:
            raise _misuse(
                f"{self.count} requests by {self.threads} threads",
                f"it takes at least one request and 1 to {THREADS_MAX} threads",
            )
        if self.rate is not None and not self.rate > 0:
            raise _misuse(f"a rate of {self.rate:g}", "it must be above zero")

    @property
    def reply_bytes(self) -> int:
        """Payload bytes asked for in a reply: as many as are sent, unless told otherwise."""
        return self.size if self.reply_size is None else self.reply_size

    def expected(self, token: int) -> bytes:
        """The payload that answers the request with this token."""
        if self.op == "sink":
            return b""
        if self.op == "source":
            return wire.source_payload(token, self.reply_bytes)
        return wire.source_payload(token, self.size)[: self.reply_bytes].ljust(
            self.reply_bytes, b"\0"
        )


@dataclass(frozen=True)
class Wait:
    """What the module waited in one stage, over the answered requests; in nanoseconds."""

    stage: str
    asked_ns: int
    p50_ns: int
    min_ns: int
    max_ns: int


@dataclass(frozen=True)
class Outcome:
    """What became of one channel's requests; times in nanoseconds, as the user side saw them.

    ``late_p99_ns`` is how late paced requests began after their intended
    times, which the latencies do not contain; 0 without pacing. ``waits`` are the delays
    that the module's replies tell, asked for or not.
    """

    channel: str
    requests: int
    errors: int
    mismatches: int
    seconds: float
    p50_ns: int
    p99_ns: int
    max_ns: int
    late_p99_ns: int
    first_error: str
    waits: tuple[Wait, ...] = ()


def token(seed: int, channel: str, thread: int, index: int) -> int:
    """The token of one request: different for each under one seed, never 0 in practice.

    ``channel`` is netlink, setsockopt, getsockopt or icmp.
    """
    place = _SLOTS.index(channel) << 56 | thread << 40 | index
    return _mix(place ^ _mix(seed & _MASK))


_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """The finalizer of splitmix64: a permutation of the 64-bit numbers."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


def drive(workload: Workload) -> list[Outcome]:
    """Send the workload; one outcome per channel, sockopt's sets and gets apart.

    Raises `TracerError` when the workload is not sound, the module is not
    loaded, or it refuses the requests for good.
    """
    workload.check()
    wire.require_loaded()
    return [outcome for channel in workload.channels for outcome in _Team(channel, workload).run()]


def _misuse(what: str, why: str) -> TracerError:
    return TracerError(f"cannot drive {what}", why, "see `tracer drive --help`")


def _refused(channel: str, error: OSError) -> TracerError:
    what = f"cannot drive {channel}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return TracerError(
            what,
            "the requests are not permitted",
            "run as root: they need CAP_NET_ADMIN, delays need it on the host, pings CAP_NET_RAW",
        )
    return TracerError(what, str(error), "see `tracer kmod status` and the kernel log")


# --------------------------------------------------------------------------
# Workers: one per thread


class _Tally:
    """What one thread saw on one channel; nothing is allocated per request."""

    def __init__(self, channel: str, count: int) -> None:
        self.channel = channel
        self.latency = array("q", bytes(8 * count))
        self.lateness = array("q", bytes(8 * count))
        self.waited = {stage: array("q", bytes(8 * count)) for stage in _TOLD.get(channel, ())}
        self.done = self.errors = self.mismatches = 0
        self.first_error = ""

    def answered(self, begin: int, end: int, intended: int, as_expected: bool) -> None:
        self.latency[self.done] = end - begin
        self.lateness[self.done] = begin - intended if intended else 0
        self.done += 1
        self.mismatches += not as_expected

    def waits(self, waited: Waited) -> None:
        """Note what the reply of the last answered request told."""
        for stage, told in self.waited.items():
            told[self.done - 1] = getattr(waited, f"{stage}_ns")

    def failed(self, error: OSError) -> None:
        """Count an error; raise one that every further request would meet."""
        if error.errno in _HOPELESS:
            raise error
        self.errors += 1
        self.first_error = self.first_error or str(error)


class _Pacer:
    """Tells the intended time of each request and waits for it."""

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
        # Not by spinning: that would hold the interpreter against other threads.
        while (left := intended - _now()) > 0:
            time.sleep(left / 1e9)
        return intended


class _Worker(ABC):
    """One thread's share of one channel."""

    kinds: tuple[str, ...]

    def __init__(self, workload: Workload, thread: int) -> None:
        self.load = workload
        self.thread = thread
        self.op = OPS[workload.op]
        self.tallies = {kind: _Tally(kind, workload.count) for kind in self.kinds}
        self.begin_ns = self.end_ns = 0
        self._pacer = _Pacer(workload.rate)

    def run(self, gather: Callable[[], object], is_stopping: Callable[[], bool]) -> None:
        """Open, wait for the others, send, wait for the others, close."""
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
        """Make the sockets, in the thread that uses them."""

    @abstractmethod
    def send(self, kind: str, number: int, payload: bytes, expected: bytes, intended: int) -> bool:
        """One request; is its answer the expected one?"""

    def waited(self) -> Waited:
        """What the module told of its waits for the last request."""
        return Waited()

    @abstractmethod
    def finish(self) -> None:
        """What is left to do when every thread has sent."""

    @abstractmethod
    def close(self) -> None:
        """Close the sockets."""


class _NetlinkWorker(_Worker):
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
        """A sink is answered only when it failed."""
        while select.select([self._socket.fileno()], [], [], 0)[0]:
            reply = self._socket.receive()
            self.tallies["netlink"].failed(OSError(reply.error, "a sink failed"))

    def close(self) -> None:
        self._socket.close()


class _SockoptWorker(_Worker):
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
        """Nothing: a call is complete when it returns."""

    def close(self) -> None:
        self._client.close()


class _IcmpWorker(_Worker):
    """Pings an address of its own, so that it knows its packets among the others'."""

    kinds = ("icmp",)

    def open(self) -> None:
        self._address = f"127.1.{self.thread >> 8}.{(self.thread & 0xFF) + 1}"
        self._listener = IcmpListener()
        try:
            self._listener.register()
            self._pinger = Pinger(_mix(self.load.seed), self._address)
        except OSError:
            self._listener.close()
            raise

    def send(self, kind: str, number: int, payload: bytes, expected: bytes, intended: int) -> bool:
        self._pinger.ping(number, payload)
        missing = {True, False}  # the request, which is for our address, and its reply
        while missing:
            heard = self._listener.receive(_NOTIFICATION_DEADLINE_S)
            if heard is None:
                raise TimeoutError(errno.ETIMEDOUT, "a ping was not notified")
            if self._address in heard:
                missing.discard(heard.destination == self._address)
        return True

    def finish(self) -> None:
        """Leaves nothing unread: the answer to this comes behind every notification."""
        self._listener.unregister()

    def close(self) -> None:
        self._listener.close()
        self._pinger.close()


_WORKERS: dict[str, type[_Worker]] = {
    "netlink": _NetlinkWorker,
    "sockopt": _SockoptWorker,
    "icmp": _IcmpWorker,
}


class _Team:
    """All threads of one channel."""

    def __init__(self, channel: str, workload: Workload) -> None:
        self._channel = channel
        self._load = workload
        self._workers = [_WORKERS[channel](workload, n) for n in range(workload.threads)]
        self._barrier = threading.Barrier(workload.threads)
        self._is_stopping = False
        self._failure: Exception | None = None

    def run(self) -> list[Outcome]:
        threads = [
            threading.Thread(target=self._work, args=(worker,), name=f"{self._channel}-{n}")
            for n, worker in enumerate(self._workers)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._stop()
            raise
        if isinstance(self._failure, OSError):
            raise _refused(self._channel, self._failure) from self._failure
        if self._failure:
            raise self._failure
        return [self._outcome(kind) for kind in self._workers[0].kinds]

    def _work(self, worker: _Worker) -> None:
        try:
            worker.run(self._barrier.wait, lambda: self._is_stopping)
        except threading.BrokenBarrierError:
            pass  # another thread failed and tells why
        except Exception as error:
            self._failure = self._failure or error
            self._stop()

    def _stop(self) -> None:
        self._is_stopping = True
        self._barrier.abort()

    def _outcome(self, kind: str) -> Outcome:
        tallies = [worker.tallies[kind] for worker in self._workers]
        latency = np.concatenate([np.array(t.latency[: t.done], np.int64) for t in tallies])
        lateness = np.concatenate([np.array(t.lateness[: t.done], np.int64) for t in tallies])
        begin = min(worker.begin_ns for worker in self._workers)
        end = max(worker.end_ns for worker in self._workers)
        p50, p99, largest = _quantiles(latency)
        return Outcome(
            channel=kind,
            requests=len(latency) + sum(t.errors for t in tallies),
            errors=sum(t.errors for t in tallies),
            mismatches=sum(t.mismatches for t in tallies),
            seconds=(end - begin) / 1e9,
            p50_ns=p50,
            p99_ns=p99,
            max_ns=largest,
            late_p99_ns=_quantiles(lateness)[1],
            first_error=next((t.first_error for t in tallies if t.first_error), ""),
            waits=self._waits(kind, tallies),
        )

    def _waits(self, kind: str, tallies: list[_Tally]) -> tuple[Wait, ...]:
        """What the module waited for the requests that were answered by a reply."""
        if kind == "netlink" and self._load.op == "sink":
            return ()
        found = []
        for stage in _TOLD.get(kind, ()):
            told = [np.array(t.waited[stage][: t.done], np.int64) for t in tallies]
            waited = np.concatenate(told)
            if len(waited):
                p50, _, largest = _quantiles(waited)
                asked = getattr(self._load, f"{stage}_delay_ns")
                found.append(Wait(stage, asked, p50, int(waited.min()), largest))
        return tuple(found)


def _quantiles(values: np.ndarray) -> tuple[int, int, int]:
    """Median, 99th percentile and maximum; zeros for nothing."""
    if not len(values):
        return 0, 0, 0
    p50, p99 = np.percentile(values, [50, 99])
    return int(p50), int(p99), int(values.max())
