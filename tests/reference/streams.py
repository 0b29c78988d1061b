# SPDX-License-Identifier: GPL-2.0-or-later
"""Random streams of records, as the probes would make them: a small netlink of a few sockets.

A stream is made from a list of *actions*, pairs of numbers. The first number is a thread; it goes
one step ahead in the call that it is in, or begins the call that the second number stands for. So
threads interleave in every way, and a list with fewer or smaller numbers is a simpler stream, which
hypothesis makes use of. :mod:`channels` has the calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracer.recording import SCHEMAS

Record = dict[str, Any]
Steps = Iterator[None]

KINDS = ("send_calls", "recv_calls", "opt_calls", "extras")
POINTS = {"send": 1, "recv": 2, "setsockopt": 3, "getsockopt": 4, "message": 5, "handled": 6,
          "queued": 7, "copy": 8, "poll": 9, "overrun": 10}  # fmt: skip
S_BEGUN, S_DONE, S_QUEUED, S_MODULE, S_TRIED = 0x01, 0x02, 0x04, 0x08, 0x10
S_DUMP, S_LAST, S_HEADLESS, S_SEVERAL = 0x20, 0x40, 0x80, 0x100
X_SENDING, X_RECEIVING, X_LAST, X_BYSTANDER, X_HEADLESS = 0x01, 0x02, 0x04, 0x08, 0x10
BY_OTHER, BY_UNICAST, BY_BROADCAST, BY_DUMP = 0, 1, 2, 3
NLMSG_ERROR, NLMSG_DONE = 2, 3
#: The threads that are traced, and their processes. The first two processes keep a log.
THREADS = {100: 100, 101: 100, 103: 103, 102: 102}
LOGGING = (100, 103)
#: The kernel's own thread, which is not traced.
KERNEL_THREAD = 900
#: Network namespace, protocol and port id of the sockets; all threads use all of them.
SOCKETS = ((1, 30, 100), (1, 0, 100), (1, 30, 101), (2, 30, 100), (1, 0, 103))
#: How many messages fit into a queue.
ROOM = 5


class Digits:
    """A number as a row of choices; when it is used up, every choice is the first one."""

    def __init__(self, value: int) -> None:
        self._value = value

    def below(self, limit: int) -> int:
        """The next choice of ``limit`` ones."""
        self._value, found = divmod(self._value, limit)
        return found


@dataclass(eq=False)
class Skb:
    """A buffer with a message in a queue; ``users`` are the queue and who copies it."""

    address: int
    size: int
    seq: int
    users: int = 1


@dataclass(eq=False)
class Socket:
    """A netlink socket with its queue, and the dump that goes on (sequence number, parts left)."""

    netns: int
    proto: int
    portid: int
    queue: list[Skb] = field(default_factory=list)
    dump: tuple[int, int] | None = None
    overrun: bool = False

    @property
    def name(self) -> Record:
        return {"netns": self.netns, "proto": self.proto, "portid": self.portid}


@dataclass(eq=False)
class Thread:
    """A traced thread: the steps of the call that it is in, and the record of a send call.

    ``bits`` are those of a record that is made now, inside the call.
    """

    tid: int
    tgid: int
    steps: Steps | None = None
    record: Record | None = None
    socket: Socket | None = None
    dumping: int = 0
    bits: int = 0


@dataclass
class Stream:
    """The rows of a recording: of every kind in the ring's order, and the user's log."""

    rows: dict[str, list[Record]]
    sends: list[Record]


class Machine:
    """Threads, sockets and the ring."""

    def __init__(self) -> None:
        self.ring: list[tuple[str, Record]] = []
        self.sends: list[Record] = []
        self.sockets = [Socket(*key) for key in SOCKETS]
        self.threads = [Thread(tid, tgid) for tid, tgid in THREADS.items()]
        self.promised: list[tuple[Socket, Record]] = []
        self._now = 1000
        self._free: list[int] = []
        self._addresses = 0
        self._seq = 100

    def now(self) -> int:
        """The time, which is never the same twice."""
        self._now += 1
        return self._now

    def seq(self, digits: Digits) -> int:
        """A sequence number: a new one, or one of a few."""
        number = digits.below(8)
        if number < 4:
            return number
        self._seq += 1
        return self._seq

    def emit(self, kind: str, point: str, record: Record) -> None:
        """A record goes into the ring."""
        nothing = dict.fromkeys(SCHEMAS[kind].names, 0)
        nothing |= {name: -1 for name in ("skb", "reply_skb", "sock") if name in nothing}
        place = {"order": len(self.ring), "point": POINTS[point]}
        self.ring.append((kind, nothing | record | place))

    def allocate(self, size: int, seq: int) -> Skb:
        """A new buffer, at the address of the one that was freed last."""
        if not self._free:
            self._addresses += 1
            self._free.append(self._addresses)
        return Skb(self._free.pop(), size, seq)

    def release(self, skb: Skb) -> None:
        """One user of the buffer is done with it."""
        skb.users -= 1
        if not skb.users:
            self._free.append(skb.address)

    def close(self, socket: Socket) -> None:
        """The socket is closed, and another one bound to its port id."""
        for skb in socket.queue:
            self.release(skb)
        place = self.sockets.index(socket)
        self.sockets[place] = Socket(socket.netns, socket.proto, socket.portid)

    def queue(self, thread: Thread | None, to: Socket, message: Record) -> Steps:
        """``__netlink_sendskb``, or ``netlink_overrun`` if there is no room, and their probes.

        ``message`` has ``seq``, ``type``, ``size``, ``ret``, ``about_seq``, ``about_type``, and
        ``source`` and ``start_ns``, if what called it was seen. ``tid`` is set if an untraced
        thread sends it, and ``headless`` if it has no header.
        """
        who = {"tid": thread.tid, "tgid": thread.tgid} if thread else {}
        who |= {"tid": message.get("tid", 0)} if not thread else {}
        if len(to.queue) >= ROOM:
            now, to.overrun = self.now(), True
            yield
            bits = 0 if thread else X_BYSTANDER
            self.emit("extras", "overrun", to.name | who | {"start_ns": now, "end_ns": now,
                                                            "bits": bits})  # fmt: skip
            return
        skb, now = self.allocate(message["size"], message["seq"]), self.now()
        if thread and self._first_reply(thread, to, skb, message, now):
            to.queue.append(skb)
            return
        yield
        bits = thread.bits if thread else X_BYSTANDER
        bits |= X_HEADLESS * bool(message.get("headless"))
        given = {"start_ns": now, "source": BY_OTHER} | message
        record = to.name | who | given | {"end_ns": now, "skb": skb.address, "bits": bits}
        self.emit("extras", "queued", record)
        to.queue.append(skb)

    def _first_reply(self, thread: Thread, to: Socket, skb: Skb, message: Record, now: int) -> bool:
        send = thread.record
        if send is None or send["bits"] & (S_QUEUED | S_SEVERAL | S_HEADLESS):
            return False
        if message.get("source") == BY_BROADCAST or message.get("headless"):
            return False
        peer = send["dst"] == to.portid and message.get("peer")
        if (to is not thread.socket and not peer) or message["seq"] != send["seq"]:
            return False
        send |= {
            "queued_ns": now, "reply_skb": skb.address, "reply_size": skb.size,
            "reply_type": message["type"],
            "reply_error": message["ret"] if message["type"] == NLMSG_ERROR else 0,
        }  # fmt: skip
        send["bits"] |= S_QUEUED | S_DUMP * bool(thread.dumping)
        return True

    def dump(self, thread: Thread, socket: Socket, size: int) -> Steps:
        """``netlink_dump`` makes the next part of the dump, if there is room in the queue."""
        thread.dumping = self.now()
        yield
        if len(socket.queue) >= ROOM or socket.dump is None:
            thread.dumping = 0
            return
        seq, left = socket.dump
        skb, now = self.allocate(size, seq), self.now()
        last = left == 0
        message = {"seq": seq, "type": NLMSG_DONE if last else 16, "size": size, "ret": 0}
        error = -22 if last and size % 3 == 0 else 0
        send, begun = thread.record, thread.dumping
        first = self._first_reply(thread, socket, skb, message, now)
        bits = thread.bits
        socket.queue.append(skb)
        socket.dump = None if last else (seq, left - 1)
        yield
        thread.dumping = 0
        if first and send:
            send["bits"] |= S_LAST * last
            send["reply_error"] = error
            return
        who = {"tid": thread.tid, "tgid": thread.tgid}
        record = message | socket.name | who | {
            "start_ns": begun, "end_ns": now, "skb": skb.address, "source": BY_DUMP, "ret": error,
            "bits": bits | X_LAST * last,
        }  # fmt: skip
        self.emit("extras", "queued", record)


def cut(machine: Machine, dropped: Sequence[int], first: int, last: int) -> Stream:
    """The stream without the records ``dropped``, before ``first`` and after ``last``."""
    rows: dict[str, list[Record]] = {kind: [] for kind in KINDS}
    lost = set(dropped)
    for number, (kind, record) in enumerate(machine.ring):
        if number not in lost and first <= number < len(machine.ring) - last:
            rows[kind].append(record)
    return Stream(rows, machine.sends)
