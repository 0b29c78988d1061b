# SPDX-License-Identifier: GPL-2.0-or-later
"""What the reference matcher finds: requests, messages in queues, and which belongs to which."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]
Socket = tuple[int, int, int]

MSG_PEEK = 0x2
NLMSG_ERROR = 2
NLM_F_ACK, NLM_F_DUMP = 0x4, 0x300
#: The bytes of an NLMSG_ERROR: a header, the error, the header of the request it answers.
ERROR_BYTES = 36
MESSAGE, HANDLED, QUEUED, COPY, POLL, OVERRUN = 5, 6, 7, 8, 9, 10
S_BEGUN, S_DONE, S_QUEUED, S_MODULE, S_TRIED = 0x01, 0x02, 0x04, 0x08, 0x10
S_DUMP, S_LAST, S_HEADLESS, S_SEVERAL = 0x20, 0x40, 0x80, 0x100
R_COPY = 0x1
X_SENDING, X_LAST, X_HEADLESS = 0x01, 0x04, 0x10
SOURCES = ("other", "unicast", "broadcast", "dump")


def socket_of(record: Record) -> Socket:
    """The network namespace, protocol and port id, which tell a netlink socket."""
    return record["netns"], record["proto"], record["portid"]


@dataclass(eq=False)
class Datagram:
    """A message that was queued at a socket.

    ``peeks`` are the receive calls that looked at it, ``taken`` the one that took it from the
    queue. ``how`` tells how ``request`` was found.
    """

    socket: Socket
    skb: int
    queued_ns: int
    seq: int | None
    type: int | None
    size: int
    error: int
    source: str
    source_ns: int
    last: bool
    about: int | None
    record: Record
    peeks: list[Record] = field(default_factory=list)
    taken: Record | None = None
    request: Request | None = None
    how: str | None = None


@dataclass(eq=False)
class Request:
    """A message that was sent. ``call`` is None if the record of its send call is missing.

    ``handler`` has begin, end and result of msgchan's handler; ``arrival_ns`` is when the handler
    began, whosoever it is.
    """

    call: Call | None
    tid: int
    tgid: int
    socket: Socket
    unicast_ns: int
    size: int | None
    seq: int | None
    type: int | None
    flags: int
    handler: tuple[int, int, int] | None = None
    arrival_ns: int | None = None
    answers: list[Datagram] = field(default_factory=list)
    tried: bool = False
    dump: bool = False
    lost: bool = False

    @property
    def begin_ns(self) -> int:
        return self.unicast_ns if self.arrival_ns is None else self.arrival_ns

    def answered_by(self, datagram: Datagram, how: str) -> None:
        self.answers.append(datagram)
        datagram.request, datagram.how = self, how
        self.dump |= datagram.source == "dump"

    def completed_by(self, datagram: Datagram) -> bool:
        """Whether this answer is the last one that the request waits for."""
        if self.dump:
            return datagram.last or datagram.type == NLMSG_ERROR
        return not self.flags & NLM_F_ACK or datagram.type == NLMSG_ERROR

    @property
    def expects(self) -> bool:
        """Whether there had to be an answer."""
        return bool(self.flags & NLM_F_ACK or self.dump or self.answers or self.tried)


@dataclass(eq=False)
class Call:
    """A send call, and the records that were made inside of it."""

    number: int
    record: Record
    inside: list[Record]
    requests: list[Request] = field(default_factory=list)

    @property
    def to_kernel(self) -> bool:
        return bool(self.record["dst"] == 0)


@dataclass(eq=False)
class Joined:
    """What belongs together, of a whole recording."""

    calls: list[Call] = field(default_factory=list)
    orphans: list[Request] = field(default_factory=list)
    headless: list[Request] = field(default_factory=list)
    peers: dict[int, Datagram] = field(default_factory=dict)
    datagrams: list[Datagram] = field(default_factory=list)
    receives: list[Record] = field(default_factory=list)
    polls: list[Record] = field(default_factory=list)


def datagram_of(extra: Record) -> Datagram:
    """The message of which a record QUEUED tells."""
    headless = bool(extra["bits"] & X_HEADLESS)
    about = extra["type"] == NLMSG_ERROR and extra["size"] >= ERROR_BYTES and not headless
    return Datagram(
        socket_of(extra), extra["skb"], extra["end_ns"], None if headless else extra["seq"],
        None if headless else extra["type"], extra["size"], extra["ret"],
        SOURCES[extra["source"]], extra["start_ns"], bool(extra["bits"] & X_LAST),
        extra["about_type"] if about else None, extra,
    )  # fmt: skip
