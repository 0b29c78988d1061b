# SPDX-License-Identifier: GPL-2.0-or-later
"""A second implementation of correlation, to compare ``tracer.correlate`` with.

It is written from the documents (``docs/frames.md``, ``docs/design.md``, ``bpf/event.h``) and
shares no code with ``tracer.correlate``. It is slow: it knows the whole recording, puts what
happened in the order of time, and looks up everything in plain dictionaries and lists.
:func:`match` is the way in. Here it is found what belongs together; :mod:`rows` makes the rows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from joined import (
    COPY,
    HANDLED,
    MESSAGE,
    MSG_PEEK,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLMSG_ERROR,
    OVERRUN,
    POLL,
    QUEUED,
    R_COPY,
    S_BEGUN,
    S_DONE,
    S_DUMP,
    S_HEADLESS,
    S_LAST,
    S_MODULE,
    S_QUEUED,
    S_SEVERAL,
    S_TRIED,
    X_SENDING,
    Call,
    Datagram,
    Joined,
    Record,
    Request,
    Socket,
    datagram_of,
    socket_of,
)
from option_rows import option_row
from rows import Row, dump_row, notice_row, peer_row, request_row, unseen_row


def match(
    send_calls: list[Record],
    recv_calls: list[Record],
    opt_calls: list[Record],
    extras: list[Record],
    sends: list[Record],
) -> list[Row]:
    """The exchanges of a recording, given as its rows, sorted by when they began.

    Their columns are those of ``run.exchanges``, without names and tokens; None stands for NA.
    """
    joined = Joined(receives=recv_calls, polls=[x for x in extras if x["point"] == POLL])
    stray = _calls(joined, send_calls, extras)
    for call in joined.calls:
        stray += _inside(joined, call)
    _in_order_of_time(joined, stray)
    for call in joined.calls:
        _lose(call)
    used: set[int] = set()
    found = [row for call in joined.calls for row in _call_rows(joined, call, sends, used)]
    found += [request_row(joined, request, None, sends) for request in joined.orphans]
    found += [dump_row(joined, request, sends) for request in joined.headless]
    peers = {id(datagram) for datagram in joined.peers.values()}
    notices = [d for d in joined.datagrams if d.request is None and id(d) not in peers]
    found += [notice_row(joined, datagram, sends) for datagram in notices]
    copies = [extra for extra in extras if extra["point"] == COPY]
    found += [option_row(call, copies, sends, used) for call in opt_calls]
    found += [unseen_row(e) for n, e in enumerate(sends) if e["kind"] in (0, 2) and n not in used]
    return sorted(found, key=lambda row: int(row["start_ns"]))


def _calls(joined: Joined, send_calls: list[Record], extras: list[Record]) -> list[Record]:
    """Find the send calls and what is inside of each; returns the records that are in none.

    A thread's records leave the ring in the order in which it made them, so those inside of a
    call come before that of the call.
    """
    waiting: dict[int, list[Record]] = defaultdict(list)
    stray: list[Record] = []
    both = [(r["order"], None, r) for r in send_calls] + [(r["order"], r, None) for r in extras]
    for _order, extra, send in sorted(both, key=lambda item: item[0]):
        if extra is not None:
            if extra["point"] in (MESSAGE, HANDLED, QUEUED, OVERRUN):
                waiting[extra["tid"]].append(extra)
            continue
        assert send is not None
        before = waiting.pop(send["tid"], [])
        inside = [x for x in before if send["enter_ns"] <= x["start_ns"] <= send["exit_ns"]]
        inside = [x for x in inside if x["point"] == OVERRUN or x["bits"] & X_SENDING]
        stray += [x for x in before if not any(x is y for y in inside)]
        joined.calls.append(Call(len(joined.calls), send, inside))
    return stray + [extra for left in waiting.values() for extra in left]


def _inside(joined: Joined, call: Call) -> list[Record]:
    """Make the requests of a call and find their handlers and answers; returns the rest."""
    _requests(call)
    datagrams = [_first_reply(call)] if call.record["bits"] & S_QUEUED else []
    queued = [x for x in call.inside if x["point"] == QUEUED]
    if not call.to_kernel:
        return _delivered(joined, call, datagrams, queued)
    numbers = {request.seq for request in call.requests} - {None}
    for extra in queued:
        datagram = datagram_of(extra)
        if datagram.socket == socket_of(call.record) and datagram.source != "broadcast":
            datagrams.append(datagram)
    datagrams = [d for d in datagrams if d.seq in numbers]
    _answer(call.requests, sorted(datagrams, key=lambda d: d.queued_ns))
    joined.datagrams += datagrams
    taken = [d.record for d in datagrams]
    return [x for x in queued if not any(x is y for y in taken)]


def _delivered(
    joined: Joined, call: Call, datagrams: list[Datagram], queued: list[Record]
) -> list[Record]:
    """Find the message that the call queued at another process's socket; returns the rest.

    It is the buffer that was sent itself.
    """
    send = call.record
    to, seq = (send["netns"], send["proto"], send["dst"]), call.requests[0].seq
    for extra in queued:
        datagram = datagram_of(extra)
        same = (datagram.socket, datagram.size, datagram.seq) == (to, send["buffer"], seq)
        if not datagrams and same and datagram.source != "broadcast":
            datagrams = [datagram]
    if datagrams:
        joined.peers[call.number] = datagrams[0]
        joined.datagrams += datagrams
    return [x for x in queued if not any(x is d.record for d in datagrams)]


def _requests(call: Call) -> None:
    send = call.record
    bits = send["bits"]
    begun = send["begin_ns"] if bits & S_BEGUN and not bits & S_MODULE else None
    told = [x for x in call.inside if x["point"] == MESSAGE]
    handled = [x for x in call.inside if x["point"] == HANDLED]
    for message in [send, *told]:
        headless = message is send and bool(bits & S_HEADLESS)
        request = Request(
            call, send["tid"], send["tgid"], socket_of(send), send["unicast_ns"], message["size"],
            None if headless else message["seq"], None if headless else message["type"],
            0 if headless else message["flags"], arrival_ns=begun,
            tried=message is send and bool(bits & S_TRIED) and not bits & S_SEVERAL,
        )  # fmt: skip
        if message is send and bits & S_MODULE:
            request.handler = (send["begin_ns"], send["done_ns"], send["error"])
        elif mine := [x for x in handled if x["seq"] == request.seq]:
            # The kernel handles messages in their order.
            handled = [x for x in handled if x is not mine[0]]
            request.handler = (mine[0]["start_ns"], mine[0]["end_ns"], mine[0]["ret"])
        if request.handler:
            request.arrival_ns = request.handler[0]
        call.requests.append(request)


def _answer(requests: list[Request], datagrams: list[Datagram]) -> None:
    """Find the message of a buffer that each of these answers belongs to.

    The kernel handles a buffer's messages one after the other: an NLMSG_ERROR is the last answer
    of its message, so nothing that comes later belongs to this one or to any before it.
    """
    turn = 0
    for datagram in datagrams:
        group = [request for request in requests if request.seq == datagram.seq]
        left = [r for r in group if requests.index(r) >= turn] or group[-1:]
        begun = [r for r in group if r.begin_ns <= datagram.queued_ns]
        how = "nested"
        if len(group) == 1:
            (chosen,) = group
        elif any(r.handler for r in group) and begun:
            chosen = max(begun, key=lambda r: (r.begin_ns, group.index(r)))
        elif datagram.type != NLMSG_ERROR:
            chosen, how = left[0], "order"
        else:
            told = [r for r in left if r.type == datagram.about]
            asked = [r for r in told or left if r.flags & NLM_F_ACK]
            chosen = (asked or told or left)[0]
            alike = [r for r in group if r.type == datagram.about]
            how = "header" if alike == [chosen] else "order"
        chosen.answered_by(datagram, how)
        if datagram.type == NLMSG_ERROR:
            turn = max(turn, requests.index(chosen) + 1)


def _first_reply(call: Call) -> Datagram:
    """The answer that the record of the send call tells of."""
    send, bits = call.record, call.record["bits"]
    netns, proto, port = socket_of(send)
    begin = send["begin_ns"] if bits & S_BEGUN else send["unicast_ns"]
    source = "dump" if bits & S_DUMP else "unicast" if bits & S_DONE else "other"
    return Datagram(
        (netns, proto, port if call.to_kernel else send["dst"]), send["reply_skb"],
        send["queued_ns"], send["seq"], send["reply_type"], send["reply_size"],
        send["reply_error"], source, {"dump": begin, "unicast": send["done_ns"]}.get(source, 0),
        bool(bits & S_LAST), None, send,
    )  # fmt: skip


def _in_order_of_time(joined: Joined, stray: list[Record]) -> None:
    """Follow all messages through the queues, and find the requests of those in ``stray``."""
    messages = [extra for extra in stray if extra["point"] == MESSAGE]
    for extra in sorted(messages, key=lambda x: x["order"]):
        joined.orphans.append(
            Request(
                None,
                extra["tid"],
                extra["tgid"],
                socket_of(extra),
                extra["start_ns"],
                extra["size"],
                extra["seq"],
                extra["type"],
                extra["flags"],
            )
        )
    loose = [datagram_of(extra) for extra in stray if extra["point"] == QUEUED]
    joined.datagrams += loose
    sent = [r for call in joined.calls if call.to_kernel for r in call.requests] + joined.orphans
    steps: list[tuple[int, int, int, Any]] = []
    steps += [(request.begin_ns, 0, number, request) for number, request in enumerate(sent)]
    steps += [(d.queued_ns, 1, d.record["order"], d) for d in joined.datagrams]
    copies = [call for call in joined.receives if call["bits"] & R_COPY]
    steps += [(call["copy_ns"], 2, call["order"], call) for call in copies]
    state = _State(joined, {id(datagram) for datagram in loose})
    for _at, kind, _number, what in sorted(steps, key=lambda step: step[:3]):
        (state.sent, state.queued, state.copied)[kind](what)


class _State:
    """What is known at a moment: the requests by their numbers, and what lies in the queues."""

    def __init__(self, joined: Joined, loose: set[int]) -> None:
        self.joined = joined
        self.loose = loose
        self.asked: dict[tuple[Socket, int], Request] = {}
        self.dumps: dict[tuple[Socket, int], Request] = {}
        self.lying: dict[tuple[Socket, int], Datagram] = {}

    def sent(self, request: Request) -> None:
        """The handler of a request begins."""
        if request.seq is not None:
            self.asked[request.socket, request.seq] = request
            if request.dump:
                self.dumps[request.socket, request.seq] = request

    def queued(self, datagram: Datagram) -> None:
        """A message is queued; if it was not in a call of its receiver's, find its request."""
        self.lying[datagram.socket, datagram.skb] = datagram
        if id(datagram) in self.loose and datagram.seq is not None:
            key = datagram.socket, datagram.seq
            if datagram.source == "dump":
                if key not in self.dumps:
                    self._begin_dump(key, datagram)
                self.dumps[key].answered_by(datagram, "id")
            elif datagram.source != "broadcast" and datagram.seq and key in self.asked:
                self.asked[key].answered_by(datagram, "id")
        if datagram.last and datagram.seq is not None:
            key = datagram.socket, datagram.seq
            if self.dumps.get(key) is datagram.request:
                self.dumps.pop(key, None)

    def _begin_dump(self, key: tuple[Socket, int], datagram: Datagram) -> None:
        """A dump goes on that made no part yet, or whose request is not in the recording."""
        request = self.asked.get(key)
        if request is None or request.answers or request.flags & NLM_F_DUMP != NLM_F_DUMP:
            request = Request(
                None, datagram.record["tid"], datagram.record["tgid"], datagram.socket,
                datagram.source_ns, None, datagram.seq, None, 0, dump=True,
            )  # fmt: skip
            self.joined.headless.append(request)
        self.dumps[key] = request

    def copied(self, call: Record) -> None:
        """A receive call copies what lies in this buffer, if that is known."""
        key = socket_of(call), call["skb"]
        if key not in self.lying:
            return
        if call["flags"] & MSG_PEEK:
            self.lying[key].peeks.append(call)
        else:
            self.lying.pop(key).taken = call


def _lose(call: Call) -> None:
    """An answer that did not fit into the sender's queue is that of the first who waits for one."""
    for extra in call.inside:
        if extra["point"] != OVERRUN or socket_of(extra) != socket_of(call.record):
            continue
        for request in call.requests:
            waits = not any(request.completed_by(answer) for answer in request.answers)
            if request.expects and waits and not request.lost:
                request.lost = True
                break


def _call_rows(joined: Joined, call: Call, sends: list[Record], used: set[int]) -> list[Row]:
    """The rows of one send call, each with its entry in the user's log."""
    send, found = call.record, []
    numbers = [r.seq or 0 for r in call.requests]
    for place, request in enumerate(call.requests):
        number = numbers[place]
        around = [
            n for n, e in enumerate(sends)
            if e["kind"] == 0 and (e["tid"], e["portid"], e["seq"]) == (send["tid"],
                                                                        send["portid"], number)
            and e["begin_ns"] <= send["enter_ns"] and e["end_ns"] >= send["exit_ns"]
        ]  # fmt: skip
        around.sort(key=lambda n: (sends[n]["begin_ns"], n))
        around = around[-numbers.count(number) :]
        rank = numbers[:place].count(number)
        entry = sends[around[rank]] if rank < len(around) else None
        used.update(around[rank : rank + 1])
        if call.to_kernel:
            found.append(request_row(joined, request, entry, sends))
        else:
            datagram = joined.peers.get(call.number) if place == 0 else None
            found.append(peer_row(joined, request, datagram, place, entry, sends))
    return found
