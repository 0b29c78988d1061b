# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges of the channels ``netlink`` (a request and its answers) and ``peer``.

A peer message goes from one process to another over netlink, without a kernel-side receiver.
"""

from __future__ import annotations

import numpy as np

from tracer.correlate.batch import NLM_F_ACK
from tracer.correlate.columns import NONE, Events, Ints, Mask, among, ancestor, take
from tracer.correlate.netlink import (
    Answers,
    Parts,
    Requests,
    Way,
    add_way,
    is_dump_request,
    match_answers,
    parts_of,
    receive_entries,
    requests_of,
    send_entries,
    ways_of,
)
from tracer.correlate.pieces import Pieces
from tracer.correlate.rows import Block, agree, first_seen, identity, last_seen
from tracer.correlate.user import Sends
from tracer.event import TO_KERNEL, TO_PEER


def request_exchanges(events: Events, sends: Sends, answers: Answers) -> tuple[Block, Ints]:
    """The requests to the kernel, and for each answer the row of its request (or NONE)."""
    requests = requests_of(events, TO_KERNEL)
    match = match_answers(events, requests, answers)
    parts = parts_of(events, requests, answers, match)
    block = _begin("netlink", events, sends, requests)
    _outward(block, events, sends, requests)
    way = _parts_way(events, answers, parts)
    _handling(block, events, requests, answers, parts)
    _answering(block, events, answers, parts, way)
    _ending(block, events, sends, requests, answers, parts, way, match)
    return block, match


def peer_exchanges(events: Events, sends: Sends, answers: Answers) -> tuple[Block, Ints]:
    """The messages between processes, and for each row of ``answers`` the message that it is.

    NONE stands for a queued message that came from the kernel.
    """
    requests = requests_of(events, TO_PEER)
    block = _begin("peer", events, sends, requests)
    _outward(block, events, sends, requests)
    position = np.full(len(events) + 1, NONE, np.int64)
    position[requests.unicast] = np.arange(requests.unicast.size)
    match = np.where(answers.source >= 0, position[answers.source], NONE)
    answer = np.flatnonzero(match >= 0)
    row = match[answer]
    nothing = np.full(answer.size, NONE, np.int64)
    way = ways_of(events, answers, answer, nothing)
    block.pieces.add("reply", row, events.start_ns[requests.unicast[row]], way.queued)
    add_way(block.pieces, row, way)
    entry = receive_entries(sends, events, answers, answer)
    block.pieces.add("recv_exit", row, way.copied, way.returned)
    block.pieces.add("decode", row, way.returned, sends.take("end_ns", entry))
    end = np.full(block.size, NONE, np.int64)
    end[row] = last_seen(way.queued, way.returned, sends.take("end_ns", entry))
    block.receive = np.full(block.size, NONE, np.int64)
    block.receive[row] = entry
    read = np.zeros(block.size, np.bool_)
    read[row] = way.copied != NONE
    copied = np.zeros(block.size, np.int64)
    copied[row] = answers.copied[answer]
    block.columns["copied_bytes"] = copied
    queued = np.zeros(block.size, np.int64)
    queued[row] = 1
    block.columns["replies"] = queued
    block.columns["errno"] = _send_errno(events, requests)
    block.columns["end_ns"] = np.where(end != NONE, end, _sent(block, events, requests))
    block.status = np.where(
        block.columns["errno"] != 0, "error", np.where(read, "ok", "unanswered")
    ).astype(object)
    return block, match


def _begin(channel: str, events: Events, sends: Sends, requests: Requests) -> Block:
    """Make the block of a channel, with everything that is known when a message is sent."""
    message = requests.message
    entry = send_entries(sends, events, requests)
    token = events.take("token", requests.handler)
    block = Block(channel, message.size, Pieces())
    block.columns = identity(events, message)
    block.columns["tid"] = events.take("tid", requests.unicast)
    block.columns["tgid"] = events.take("tgid", requests.unicast)
    block.columns["request_bytes"] = events.take("size", message)
    block.columns["start_ns"] = first_seen(
        sends.take("begin_ns", entry),
        events.take("start_ns", requests.call),
        events.take("start_ns", requests.unicast),
    )
    block.token = np.where(requests.handler >= 0, token, sends.take("token", entry))
    block.token = np.where((requests.handler < 0) & (entry < 0), 0, block.token)
    block.match = agree(sends, entry, token, requests.handler >= 0)
    block.send = entry
    return block


def _sent(block: Block, events: Events, requests: Requests) -> Ints:
    """The end of an exchange without a queued answer: where its send call returned.

    If that call was not recorded, it is the exchange's start.
    """
    return last_seen(events.take("end_ns", requests.call), block.columns["start_ns"])


def _outward(block: Block, events: Events, sends: Sends, requests: Requests) -> None:
    """Add the stages encode, send_entry and deliver."""
    row = np.arange(block.size)
    call = events.take("start_ns", requests.call)
    unicast = events.take("start_ns", requests.unicast)
    block.pieces.add("encode", row, sends.take("begin_ns", block.send), call)
    block.pieces.add("send_entry", row, call, unicast)
    block.pieces.add("deliver", row, unicast, events.take("start_ns", requests.arrival))


def _parts_way(events: Events, answers: Answers, parts: Parts) -> Way:
    """The way of every part; the reader was busy until it had copied the part before."""
    copied = events.take("end_ns", answers.copy[parts.answer])
    cursor = np.full(parts.answer.size, NONE, np.int64)
    cursor[1:] = np.where(parts.number[1:] > 0, copied[:-1], NONE)
    return ways_of(events, answers, parts.answer, cursor)


def _handling(
    block: Block, events: Events, requests: Requests, answers: Answers, parts: Parts
) -> None:
    """Add the stages handler and reply, until the first answer is queued; or send_exit."""
    row = np.arange(block.size)
    begin = events.take("start_ns", requests.arrival)
    done = events.take("end_ns", requests.handler)
    first = parts.number == 0
    exchange, answer = parts.request[first], parts.answer[first]
    lying = np.full(block.size, NONE, np.int64)
    lying[exchange] = events.start_ns[answers.queued[answer]]
    replying = np.full(block.size, NONE, np.int64)
    source = answers.source[answer]
    by_unicast = among(events.at("netlink_unicast"), source)
    replying[exchange] = np.where(by_unicast, events.take("start_ns", source), NONE)
    # Only msgchan has a tracepoint where its handler is done. Other handlers count until they
    # send their answer by netlink_unicast, or until it is queued.
    done = first_seen(done, replying, lying)
    block.pieces.add("handler", row, begin, done)
    block.pieces.add("reply", row, np.where(done < lying, done, NONE), lying)
    silent = lying == NONE
    returned = events.take("end_ns", requests.call)
    handled = events.take("end_ns", requests.handler)
    block.pieces.add("send_exit", row, np.where(silent, handled, NONE), returned)
    block.columns["send_return_ns"] = np.where(silent, NONE, np.maximum(returned - lying, NONE))


def _answering(block: Block, events: Events, answers: Answers, parts: Parts, way: Way) -> None:
    """Add the stages queue, wake and copy of every part.

    The next part of a dump is often made after the last one was copied, by netlink_dump in
    the reader's receive call. Then the time from that copy to netlink_dump is recv_exit
    again, and netlink_dump itself handler again.
    """
    add_way(block.pieces, parts.request, way)
    following = np.flatnonzero(parts.number > 0)
    before = following - 1
    exchange = parts.request[following]
    lying = events.start_ns[answers.queued[parts.answer[following]]]
    free = way.copied[before]
    late = (free != NONE) & (lying > free)
    source = answers.source[parts.answer[following]]
    is_dump = among(events.at("netlink_dump"), source)
    making = np.where(is_dump, events.take("start_ns", source), free)
    making = np.maximum(making, free)
    block.pieces.add("recv_exit", exchange, np.where(late, free, NONE), making)
    block.pieces.add("handler", exchange, np.where(late, making, NONE), lying)


def _ending(
    block: Block,
    events: Events,
    sends: Sends,
    requests: Requests,
    answers: Answers,
    parts: Parts,
    way: Way,
    match: Ints,
) -> None:
    """Add recv_exit and decode of the last part; fill in end, sizes, errno and status."""
    size = block.size
    last = np.ones(parts.request.size, np.bool_)
    last[:-1] = parts.request[1:] != parts.request[:-1]
    exchange = parts.request[last]
    entry = receive_entries(sends, events, answers, parts.answer[last])
    returned, decoded = way.returned[last], sends.take("end_ns", entry)
    block.pieces.add("recv_exit", exchange, way.copied[last], returned)
    block.pieces.add("decode", exchange, returned, decoded)
    block.receive = np.full(size, NONE, np.int64)
    block.receive[exchange] = entry
    end = np.full(size, NONE, np.int64)
    end[exchange] = last_seen(way.queued[last], way.copied[last], returned, decoded)
    block.columns["end_ns"] = np.where(end != NONE, end, _sent(block, events, requests))
    first = parts.number == 0
    reply = np.full(size, NONE, np.int64)
    reply[parts.request[first]] = way.returned[first]
    block.columns["first_reply_ns"] = np.where(
        reply != NONE, reply - block.columns["start_ns"], NONE
    )
    _count_replies(block, events, answers, match)
    finished = np.zeros(size, np.bool_)
    finished[parts.request[parts.final & (way.copied != NONE)]] = True
    read = np.zeros(size, np.bool_)
    read[parts.request[way.copied != NONE]] = True
    _judge(block, events, requests, answers, match, finished, read)


def _count_replies(block: Block, events: Events, answers: Answers, match: Ints) -> None:
    used = np.flatnonzero(match >= 0)
    for name, values in (
        ("replies", np.ones(used.size, np.int64)),
        ("reply_bytes", events.size[answers.queued[used]]),
        ("copied_bytes", answers.copied[used]),
    ):
        total = np.bincount(match[used], weights=values, minlength=block.size)
        block.columns[name] = total.astype(np.int64)


def _judge(
    block: Block,
    events: Events,
    requests: Requests,
    answers: Answers,
    match: Ints,
    finished: Mask,
    read: Mask,
) -> None:
    """Fill in errno and status (for their meaning see ``Frames.exchanges``).

    errno is the one that an answer carried; if none did, the one that the module's handler
    returned; else the one that the send call returned. A request needs an answer to be
    complete if it has NLM_F_ACK, was answered by a dump or at all, or the kernel tried to
    answer it. ``finished`` marks the requests whose completing answer was read, ``read``
    those of which any answer was read.
    """
    used = np.flatnonzero(match >= 0)
    carried = np.zeros(block.size, np.int64)
    np.maximum.at(carried, match[used], -events.ret[answers.queued[used]])
    handled = -np.where(requests.handler >= 0, take(events.ret, requests.handler), 0)
    errno = np.where(carried > 0, carried, np.where(handled > 0, handled, 0))
    errno = np.where(errno > 0, errno, _send_errno(events, requests))
    block.columns["errno"] = errno
    expects = (events.flags[requests.message] & NLM_F_ACK) != 0
    expects |= is_dump_request(events, requests)
    answered = np.zeros(block.size, np.bool_)
    answered[match[used]] = True
    expects |= answered | _tried_to_answer(events, requests, block.size)
    complete = np.where(expects, finished, True)
    block.status = np.where(
        complete,
        np.where(errno != 0, "error", "ok"),
        np.where(read, "partial", np.where(errno != 0, "error", "unanswered")),
    ).astype(object)


def _tried_to_answer(events: Events, requests: Requests, size: int) -> Mask:
    """Requests in which the kernel called netlink_unicast to the sender, even if that failed."""
    calls = np.flatnonzero(events.at("netlink_unicast"))
    outer = ancestor(events, calls, events.at("netlink_unicast"))
    position = np.full(len(events) + 1, NONE, np.int64)
    position[requests.unicast] = np.arange(requests.unicast.size)
    inside = outer >= 0
    inside &= np.where(inside, events.portid[outer] == events.portid[calls], False)
    tried = np.zeros(size, np.bool_)
    row = position[outer[inside]]
    tried[row[row >= 0]] = True
    return tried


def _send_errno(events: Events, requests: Requests) -> Ints:
    ret = np.where(requests.call >= 0, events.take("ret", requests.call), 0)
    return np.where(ret < 0, -ret, 0)
