# SPDX-License-Identifier: GPL-2.0-or-later
"""The structs and constants of kmod/msgchan.h for Python.

Each ``*_FIELDS`` lists the members of a struct of the header in order, with
their `struct` format, the way pyroute2 declares messages. A test compiles the
header and compares every size and offset.
"""

from __future__ import annotations

import enum
import struct
from pathlib import Path
from typing import NamedTuple

from tracer.errors import TracerError

NLMSGHDR_FIELDS = (
    ("nlmsg_len", "I"),
    ("nlmsg_type", "H"),
    ("nlmsg_flags", "H"),
    ("nlmsg_seq", "I"),
    ("nlmsg_pid", "I"),
)
REQUEST_FIELDS = (
    ("token", "Q"),
    ("op", "I"),
    ("reply_size", "I"),
    ("payload_size", "I"),
    ("error", "I"),
    ("handler_delay_ns", "Q"),
    ("reply_delay_ns", "Q"),
    ("copy_delay_ns", "Q"),
)
REPLY_FIELDS = (
    ("token", "Q"),
    ("op", "I"),
    ("size", "I"),
    ("handler_waited_ns", "Q"),
    ("reply_waited_ns", "Q"),
    ("copy_waited_ns", "Q"),
)
COUNTERS_FIELDS = (
    ("requests", "Q"),
    ("replies", "Q"),
    ("copies", "Q"),
    ("request_bytes", "Q"),
    ("reply_bytes", "Q"),
    ("errors", "Q"),
    ("waited_ns", "Q"),
    ("told", "Q"),
)
PORT_FIELDS = (("portid", "I"), ("is_closed", "I"), ("serial", "Q"), ("counters", "64s"))
ICMP_FIELDS = (("src", "4s"), ("dest", "4s"))


def _struct(fields: tuple[tuple[str, str], ...]) -> struct.Struct:
    return struct.Struct("=" + "".join(kind for _, kind in fields))


NLMSGHDR = _struct(NLMSGHDR_FIELDS)
REQUEST = _struct(REQUEST_FIELDS)
REPLY = _struct(REPLY_FIELDS)
COUNTERS = _struct(COUNTERS_FIELDS)
PORT = _struct(PORT_FIELDS)
ICMP = _struct(ICMP_FIELDS)
MESSAGE = struct.Struct("=" + "".join(kind for _, kind in NLMSGHDR_FIELDS + REQUEST_FIELDS))
"""A netlink header and a request in one, so that a send packs both by a single call."""

SO_TEXT = 0
SO_REQUEST = 1
SOCKOPT_TEXT = b"--------kernel---------\0"
NETLINK_TEXT = b"hello users"
TEXT_MAX = 64
TYPE_TEXT = 0x00
TYPE_TEXT_REPLY = 30
TYPE_REQUEST = 0x10
TYPE_REPLY = 0x20
IMP2_U_PID = 0
IMP2_K_MSG = 1
IMP2_CLOSE = 2
DELAY_MAX_NS = 10_000_000
PAYLOAD_MAX = 65536


class Op(enum.IntEnum):
    """Operations of a structured request."""

    ECHO = 0
    SINK = 1
    SOURCE = 2
    STATS = 3
    PORTS = 4


CHANNELS = ("setsockopt", "getsockopt", "netlink", "icmp")
"""The channels in the order of the module's counters."""


class Waited(NamedTuple):
    """How much the module's delays lengthened their stages, in nanoseconds, from its reply.

    A delay is at least as long as requested, and longer by up to one turn of the loop that
    reads the clock. It is 0 where none was requested or the channel has no such stage.
    """

    handler_ns: int = 0
    reply_ns: int = 0
    copy_ns: int = 0


class Parameters(NamedTuple):
    """The first socket option and the netlink protocols of the loaded module."""

    sockopt_base: int = 10128
    netlink_proto: int = 30
    icmp_proto: int = 31


MODULE = Path("/sys/module/msgchan")


def is_loaded() -> bool:
    """Is the module loaded?"""
    return MODULE.is_dir()


def parameters() -> Parameters:
    """The loaded module's parameters; the defaults where they cannot be read."""
    found = {}
    for name in Parameters._fields:
        try:
            found[name] = int((MODULE / "parameters" / name).read_text())
        except (OSError, ValueError):
            continue
    return Parameters()._replace(**found)


def require_loaded() -> None:
    """Raise `TracerError` unless the module is loaded."""
    if not is_loaded():
        raise TracerError(
            "cannot reach the module's channels",
            "msgchan is not loaded",
            "run `tracer kmod load`, or put `tracer lab --` before the command",
        )


def source_payload(token: int, size: int) -> bytes:
    """``size`` bytes as the operation SOURCE makes them: byte i is ``(token + i) & 0xff``."""
    first = token & 0xFF
    return (_CYCLE * (size // 256 + 2))[first : first + size]


_CYCLE = bytes(range(256))
