# SPDX-License-Identifier: GPL-2.0-or-later
"""netlink: requests, their answers, and the way of each answer from the queue to its reader.

A request is one message that a process sent to the kernel. Its answers are found by nesting:
the kernel's handler runs inside the sender's system call, and a dump goes on inside the
reader's. From the queue to the copy, an answer is followed by its sk_buff: that is one object
from queueing until the copy that consumes it. Afterwards another one may get its address.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracer.correlate.batch import NLM_F_ACK, NLMSG_ERROR, in_turn
from tracer.correlate.columns import (
    NONE,
    Events,
    Ints,
    Mask,
    among,
    ancestor,
    joint_keys,
    latest,
    rank,
    take,
)
from tracer.correlate.pieces import Pieces
from tracer.correlate.user import RECEIVE, SEND, Sends, entry_of_call
from tracer.event import (
    KIND_MESSAGE,
    KIND_SPAN,
    RECEIVES,
    TO_KERNEL,
)

MSG_PEEK = 0x2


@dataclass(frozen=True)
class Answers:
    """Messages that were queued at a traced socket, with their way to the reader.

    All columns are indices into the events (NONE: not observed): ``queued`` the
    ``__netlink_sendskb``, ``source`` the call that made it (netlink_unicast,
    netlink_broadcast or netlink_dump), ``copy`` the copy that took it from the queue,
    ``receive`` the receive call around that copy, ``poll`` the poll in which the
    reader waited for it. ``copied`` is the size of all its copies in bytes, peeks included.
    ``consumed`` are all copies that took a message from a queue, also of messages that
    were not seen being queued.
    """

    queued: Ints
    source: Ints
    copy: Ints
    receive: Ints
    poll: Ints
    copied: Ints
    consumed: Ints


def answers_of(events: Events) -> Answers:
    """Every queued message and its way to the reader."""
    queued = np.flatnonzero(events.at("__netlink_sendskb"))
    makers = events.at("netlink_unicast", "netlink_broadcast", "netlink_dump")
    makers &= events.direction != TO_KERNEL
    copies = np.flatnonzero(events.at("skb_copy_datagram_iter"))
    call = ancestor(events, copies, events.at(*RECEIVES))
    owner = latest(
        events.skb[copies], events.start_ns[copies], events.skb[queued], events.start_ns[queued]
    )
    consuming = (events.take("flags", call) & MSG_PEEK) == 0
    consuming &= call >= 0
    copy = np.full(queued.size, NONE, np.int64)
    known = consuming & (owner >= 0)
    # Assign from the last copy to the first, so that the first consuming copy remains.
    by_time = np.argsort(events.start_ns[copies[known]], kind="stable")[::-1]
    copy[owner[known][by_time]] = copies[known][by_time]
    receive = ancestor(events, copy, events.at(*RECEIVES))
    copied = np.bincount(
        owner[owner >= 0], weights=events.size[copies[owner >= 0]], minlength=queued.size
    ).astype(np.int64)
    return Answers(
        queued,
        ancestor(events, queued, makers),
        copy,
        receive,
        _poll_before(events, queued, receive),
        copied,
        copies[consuming],
    )


@dataclass(frozen=True)
class Reads:
    """How many messages were read, as counted by several witnesses.

    ``calls`` counts the receive calls that returned data, ``filled`` those of them in which a
    copy was seen. ``consumed`` counts the copies that took a message from a queue. Of their
    messages, ``known`` were seen being queued, and ``early`` may have been queued before the
    socket was traced. ``queued`` counts all messages seen being queued.
    """

    calls: int
    filled: int
    consumed: int
    known: int
    early: int
    queued: int


def reads_of(events: Events, answers: Answers) -> Reads:
    """Count the messages that were read, as each witness saw it."""
    known = np.isin(answers.consumed, answers.copy)
    call = ancestor(events, answers.consumed, events.at(*RECEIVES))
    _sockets, socket = np.unique(events.sock[answers.consumed], return_inverse=True)
    # A queue is first in, first out. After the first message that was seen being queued has been
    # read, no message from before the socket was traced can be left in it.
    since = np.full(socket.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(since, socket[known], events.end_ns[answers.consumed[known]])
    early = ~known & (events.take("start_ns", call) < since[socket])
    calls, filled = _returned_data(events)
    counts = (calls, filled, known.size, known.sum(), early.sum(), answers.queued.size)
    return Reads(*map(int, counts))


def _returned_data(events: Events) -> tuple[int, int]:
    """Count the receive calls that returned data, and those of them in which a copy was seen."""
    calls = np.flatnonzero(events.at(*RECEIVES) & (events.ret > 0))
    copies = np.flatnonzero(events.at("skb_copy_datagram_iter"))
    copied = np.isin(calls, ancestor(events, copies, events.at(*RECEIVES)))
    return calls.size, int(copied.sum())


def _poll_before(events: Events, queued: Ints, receive: Ints) -> Ints:
    """The poll in which the reader waited when the message was queued, NONE if it did not.

    It is the last poll of the reader's thread on that socket before the receive call. It
    must have been running when the message was queued, and the thread must not have made
    another receive call since.
    """
    polls = np.flatnonzero(events.at("poll"))
    calls = np.flatnonzero(events.at(*RECEIVES))
    start = events.take("start_ns", receive)
    socket, poll_socket = joint_keys(
        (events.take("thread", receive), events.sock[queued]),
        (events.thread[polls], events.sock[polls]),
    )
    found = take(polls, latest(socket, start - 1, poll_socket, events.start_ns[polls]))
    previous = take(
        calls,
        latest(
            events.take("thread", receive), start - 1, events.thread[calls], events.start_ns[calls]
        ),
    )
    waiting = (
        (receive >= 0)
        & (found >= 0)
        & (events.take("end_ns", found) >= events.start_ns[queued])
        & (events.take("start_ns", found) <= events.start_ns[queued])
        & (events.take("end_ns", previous) <= events.take("end_ns", found))
    )
    return np.where(waiting, found, NONE)


@dataclass(frozen=True)
class Requests:
    """Messages sent to the kernel (or to a peer), as indices into the events.

    ``message`` is the event that describes the message: ``netlink_unicast`` for the first
    one in a buffer, a message record for each later one. ``unicast`` is the call that
    delivered the buffer, ``call`` the send call around it, ``handler`` the msgchan handler,
    and ``arrival`` the event where the receiving handler begins.
    """

    message: Ints
    unicast: Ints
    call: Ints
    handler: Ints
    arrival: Ints


def requests_of(events: Events, direction: int) -> Requests:
    """Every message that was sent in ``direction``."""
    sent = events.at("netlink_unicast") & (events.direction == direction)
    message = np.flatnonzero(sent)
    further = np.flatnonzero((events.kind == KIND_MESSAGE) & (events.direction == direction))
    message = np.sort(np.concatenate([message[events.kind[message] == KIND_SPAN], further]))
    is_first = events.kind[message] == KIND_SPAN
    unicast = np.where(is_first, message, events.parent[message])
    handler = _handlers(events, message, unicast)
    arrival = np.where(handler >= 0, handler, _receivers(events, unicast, is_first))
    return Requests(message, unicast, events.take("parent", unicast), handler, arrival)


def _handlers(events: Events, message: Ints, unicast: Ints) -> Ints:
    """The msgchan handler of each message, NONE if there is none.

    Both are in the same ``netlink_unicast`` and have the same sequence number. If several
    messages of a buffer have the same number, the first belongs to the first handler, etc.
    """
    handlers = np.flatnonzero(events.at("msgchan_handler") & (events.parent >= 0))
    parent = events.parent[handlers]
    here, there = joint_keys(
        (unicast, events.seq[message], rank(unicast, events.seq[message])),
        (parent, events.seq[handlers], rank(parent, events.seq[handlers])),
    )
    return take(handlers, _equal(here, there))


def _receivers(events: Events, unicast: Ints, is_first: Mask) -> Ints:
    """The ``netlink_rcv_skb`` in each call, where most handlers begin (msgchan has its own)."""
    begins = np.flatnonzero(events.at("netlink_rcv_skb") & (events.parent >= 0))
    found = take(begins, _equal(unicast, events.parent[begins]))
    return np.where(is_first, found, NONE)


def is_dump_request(events: Events, requests: Requests) -> Mask:
    """Requests that the kernel answered by ``netlink_dump``.

    The flags of the request cannot tell, because the bits of NLM_F_DUMP mean NLM_F_REPLACE
    and NLM_F_EXCL in a request that creates something.
    """
    first = ancestor(
        events,
        np.flatnonzero(events.at("netlink_dump")),
        events.at("netlink_unicast") & (events.direction == TO_KERNEL),
    )
    return np.isin(requests.unicast, first[first >= 0])


def _equal(left: Ints, right: Ints) -> Ints:
    """For each left key the row of the first equal right key, else NONE."""
    if right.size == 0:
        return np.full(left.size, NONE, np.int64)
    order = np.argsort(right, kind="stable")
    at = np.minimum(np.searchsorted(right[order], left), right.size - 1)
    return np.where(right[order[at]] == left, order[at], NONE)


def match_answers(events: Events, requests: Requests, answers: Answers) -> Ints:
    """The request (row of ``requests``) that each answer belongs to, NONE if there is none.

    An answer that was queued inside the ``netlink_unicast`` of a request's buffer belongs to
    a message of that buffer: the last one with the same socket and sequence number whose
    handler had begun, or, where several have that number and no handler tells, the one whose
    turn it was (:mod:`tracer.correlate.batch`). A part of a dump that was queued later, inside
    a receive call, belongs to the last dump request with the same socket and sequence number.
    """
    direct = ancestor(
        events, answers.queued, events.at("netlink_unicast") & (events.direction == TO_KERNEL)
    )
    is_dump = among(events.at("netlink_dump"), answers.source)
    broadcast = among(events.at("netlink_broadcast"), answers.source)
    begun = np.where(
        requests.arrival >= 0,
        events.take("start_ns", requests.arrival),
        events.start_ns[requests.unicast],
    )
    message, queued = requests.message, answers.queued
    later = is_dump & (direct < 0)
    scope = np.where(later, NONE, direct)
    left = (events.sock[queued], events.seq[queued], scope)
    inside = (events.sock[message], events.seq[message], requests.unicast)
    here, there = joint_keys(left, inside)
    found = latest(here, events.start_ns[queued], there, begun)
    by_turn = in_turn(events, message, requests.unicast, requests.handler >= 0, queued, scope)
    found = np.where(by_turn >= 0, by_turn, found)
    of_dump = np.flatnonzero(is_dump_request(events, requests))
    here, there = joint_keys(
        (events.sock[queued], events.seq[queued]),
        (events.sock[message[of_dump]], events.seq[message[of_dump]]),
    )
    found_dump = take(of_dump, latest(here, events.start_ns[queued], there, begun[of_dump]))
    matched = np.where(later, found_dump, np.where(direct >= 0, found, NONE))
    return np.where(broadcast, NONE, matched)


@dataclass(frozen=True)
class Parts:
    """The answers of each request in the order in which they were read.

    Answers after the one that completes the request are left out. ``request`` is a row of
    ``requests``, ``answer`` a row of ``answers``, ``number`` counts the answers of a request
    from 0, ``final`` marks the one that completes it.
    """

    request: Ints
    answer: Ints
    number: Ints
    final: Mask


def parts_of(events: Events, requests: Requests, answers: Answers, match: Ints) -> Parts:
    """Order the matched answers and find which one completes each request.

    A dump ends with its last part, a request with NLM_F_ACK with its NLMSG_ERROR
    (an acknowledgement or an error), any other with its first answer.
    """
    answer = np.flatnonzero(match >= 0)
    request = match[answer]
    read = events.take("start_ns", answers.copy[answer])
    lying = events.start_ns[answers.queued[answer]]
    # Answers that were not read are sorted behind those that were.
    order = np.lexsort((lying, np.where(read == NONE, np.iinfo(np.int64).max, read), request))
    answer, request = answer[order], request[order]
    number = rank(request)
    flags = events.flags[requests.message[request]]
    dump = is_dump_request(events, requests)[request]
    is_error = events.type[answers.queued[answer]] == NLMSG_ERROR
    is_last = _last_of_dump(events, answers.source[answer])
    ack = (flags & NLM_F_ACK) != 0
    completes = np.where(dump, is_last | is_error, np.where(ack, is_error, number == 0))
    after = np.zeros(request.size, np.bool_)
    if request.size:
        done = np.cumsum(completes) - completes
        first = np.flatnonzero(number == 0)
        base = np.repeat(done[first], np.diff(np.append(first, request.size)))
        after = done - base > 0
    keep = ~after
    return Parts(request[keep], answer[keep], number[keep], completes[keep])


def _last_of_dump(events: Events, source: Ints) -> Mask:
    return among(events.at("netlink_dump") & (events.flags == 1), source)


@dataclass(frozen=True)
class Way:
    """When each part was queued, asked for, copied (begin, end), and its receive call returned.

    Times in ns; NONE: not observed.
    """

    queued: Ints
    asked: Ints
    copy: Ints
    copied: Ints
    returned: Ints


def ways_of(events: Events, answers: Answers, answer: Ints, cursor: Ints) -> Way:
    """The way of ``answer`` from the queue to the reader.

    ``cursor`` (ns) is when the previous part of the same exchange had been copied, NONE for the
    first part. Before that the reader could not ask for this part, so its way begins there
    at the earliest. A reader that was waiting already asked at the moment of queueing.
    """
    queued = np.maximum(events.start_ns[answers.queued[answer]], cursor)
    call = events.take("start_ns", answers.receive[answer])
    waited = (answers.poll[answer] >= 0) | (call <= queued)
    asked = np.where(call == NONE, NONE, np.where(waited, queued, call))
    return Way(
        queued,
        asked,
        events.take("start_ns", answers.copy[answer]),
        events.take("end_ns", answers.copy[answer]),
        events.take("end_ns", answers.receive[answer]),
    )


def add_way(pieces: Pieces, exchange: Ints, way: Way) -> None:
    """Add the stages queue, wake and copy of each part."""
    pieces.add("queue", exchange, way.queued, way.asked)
    pieces.add("wake", exchange, way.asked, way.copy)
    pieces.add("copy", exchange, way.copy, way.copied)


def receive_entries(sends: Sends, events: Events, answers: Answers, answer: Ints) -> Ints:
    """The reader's log entry for each answer, NONE if there is none."""
    queued = answers.queued[answer]
    return entry_of_call(
        sends,
        sends.kind == RECEIVE,
        events,
        answers.receive[answer],
        (events.take("portid", queued), events.take("seq", queued)),
        ("portid", "seq"),
    )


def send_entries(sends: Sends, events: Events, requests: Requests) -> Ints:
    """The sender's log entry for each request, NONE if there is none."""
    return entry_of_call(
        sends,
        sends.kind == SEND,
        events,
        requests.call,
        (events.portid[requests.message], events.seq[requests.message]),
        ("portid", "seq"),
    )
