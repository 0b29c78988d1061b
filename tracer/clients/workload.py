# SPDX-License-Identifier: GPL-2.0-or-later
"""What is sent over the module's channels: how many requests, how large, and with which bytes.

A request's token is computed from seed, channel, thread and index, and its payload from the
token. So whoever knows the seed can compute every byte that was sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracer.clients import wire
from tracer.clients.wire import Op
from tracer.errors import TracerError

CHANNELS = ("netlink", "sockopt", "icmp")
OPS = {"echo": Op.ECHO, "sink": Op.SINK, "source": Op.SOURCE}
THREADS_MAX = 250
"""The module takes 256 ICMP listeners and each thread needs one; the rest is for others."""
PING_MAX = 65507
"""Payload bytes of the largest ping: 65,535 without the IP (20) and ICMP (8) headers."""
SLOTS = ("netlink", "setsockopt", "getsockopt", "icmp")


@dataclass(frozen=True)
class Workload:
    """What to send. Sizes in bytes, delays in nanoseconds.

    ``count`` is the number of requests per thread and channel; on the channel sockopt each
    is a set and a get. ``rate`` is requests per second and thread; with None a thread
    sends the next request as soon as the last is answered. ``reply_delay_ns`` has an effect on
    netlink only, ``copy_delay_ns`` on getsockopt only.
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
        """Raise `TracerError` for a workload that the module would refuse."""
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
        """Payload bytes that a reply is to have: ``reply_size``, by default the request's size."""
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


def token(seed: int, channel: str, thread: int, index: int) -> int:
    """The token of one request: no two requests under one seed have the same.

    ``channel`` is netlink, setsockopt, getsockopt or icmp.
    """
    place = SLOTS.index(channel) << 56 | thread << 40 | index
    return mix(place ^ mix(seed & _MASK))


_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """The finalizer of splitmix64: a permutation of the 64-bit numbers."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


def _misuse(what: str, why: str) -> TracerError:
    return TracerError(f"cannot drive {what}", why, "see `tracer drive --help`")
