# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges of the channels ``setsockopt`` and ``getsockopt``: one for each system call."""

from __future__ import annotations

import numpy as np

from tracer.correlate.columns import NONE, Events, Ints, Mask, ancestor, joint_keys, rank, take
from tracer.correlate.pieces import Pieces
from tracer.correlate.rows import Block, agree, first_seen, last_seen
from tracer.correlate.user import CALL, Sends, entry_of_call

_CHANNEL_CODE = {"setsockopt": 1, "getsockopt": 2}


def sockopt_exchanges(events: Events, sends: Sends, channel: str) -> Block:
    """The calls of ``channel`` (setsockopt or getsockopt) that reached nf_sockopt."""
    inner = np.flatnonzero(events.at(f"nf_{channel}"))
    call = ancestor(events, inner, events.at(channel))
    handler = _child(events, inner, "msgchan_handler")
    entry = entry_of_call(
        sends,
        (sends.kind == CALL) & (sends.channel == _CHANNEL_CODE[channel]),
        events,
        call,
    )
    block = Block(channel, inner.size, Pieces())
    block.send = block.receive = entry
    token = events.take("token", handler)
    block.token = np.where(handler >= 0, token, 0)
    block.match = agree(sends, entry, token, handler >= 0)
    _describe(block, events, sends, inner, call, entry)
    _stages(block, events, sends, inner, call, handler)
    return block


def _child(events: Events, outer: Ints, point: str) -> Ints:
    """The first event of ``point`` directly inside each call, NONE if there is none."""
    inside = np.flatnonzero(events.at(point) & (events.parent >= 0))
    found = np.full(len(events) + 1, NONE, np.int64)
    found[events.parent[inside][::-1]] = inside[::-1]
    return found[outer]


def _describe(
    block: Block, events: Events, sends: Sends, inner: Ints, call: Ints, entry: Ints
) -> None:
    size = events.size[inner]
    is_set = block.channel == "setsockopt"
    ret = np.where(call >= 0, events.take("ret", call), events.ret[inner])
    zero = np.zeros(block.size, np.int64)
    begin = first_seen(
        sends.take("begin_ns", entry), events.take("start_ns", call), events.start_ns[inner]
    )
    block.columns = {
        "tid": events.tid[inner],
        "tgid": events.tgid[inner],
        "netns": events.netns[inner],
        "optname": events.type[inner],
        "request_bytes": size if is_set else zero,
        "reply_bytes": zero if is_set else size,
        "replies": zero,
        "errno": np.where(ret < 0, -ret, 0),
        "start_ns": begin,
        "end_ns": last_seen(
            events.end_ns[inner], events.take("end_ns", call), sends.take("end_ns", entry)
        ),
    }
    block.status = np.where(ret < 0, "error", "ok").astype(object)


def _stages(
    block: Block, events: Events, sends: Sends, inner: Ints, call: Ints, handler: Ints
) -> None:
    """Add the stages. Between two copies of one call, the handler runs again."""
    row = np.arange(block.size)
    called, returned = events.take("start_ns", call), events.take("end_ns", call)
    begin = first_seen(events.take("start_ns", handler), events.start_ns[inner])
    block.pieces.add("encode", row, sends.take("begin_ns", block.send), called)
    block.pieces.add("entry", row, called, begin)
    copy, owner, whole = _copies(events, inner)
    block.columns["copied_bytes"] = np.bincount(
        owner, weights=events.size[copy], minlength=block.size
    ).astype(np.int64)
    done = first_seen(events.take("end_ns", handler), events.end_ns[inner])
    number = rank(owner)
    start, end = events.start_ns[copy], events.end_ns[copy]
    free = np.full(copy.size, NONE, np.int64)
    free[1:] = np.where(number[1:] > 0, end[:-1], NONE)
    free = np.where(number == 0, begin[owner], free)
    block.pieces.add("handler", owner, free, start)
    block.pieces.add("copy", owner, np.where(whole, start, NONE), end)
    leaves = done.copy()
    # If the site sees only the begin of a copy, the stages copy and exit are unknown.
    leaves[owner] = np.where(whole, end, NONE)
    without = np.ones(block.size, np.bool_)
    without[owner] = False
    block.pieces.add("handler", row, np.where(without, begin, NONE), done)
    block.pieces.add("exit", row, leaves, returned)
    block.pieces.add("decode", row, returned, sends.take("end_ns", block.send))


def _copies(events: Events, inner: Ints) -> tuple[Ints, Ints, Mask]:
    """The copies inside each call, the row of their call, and whether their end was seen.

    If msgchan's own tracepoints reported a call's copies, these are taken; otherwise the
    calls of ``_copy_to_user`` that the relay or the breakpoint reported.
    """
    position = np.full(len(events) + 1, NONE, np.int64)
    position[inner] = np.arange(inner.size)
    outer = np.zeros(len(events), np.bool_)
    outer[inner] = True
    own = np.flatnonzero(events.at("msgchan_copy"))
    own = own[ancestor(events, own, outer) >= 0]
    seen = np.flatnonzero(events.at("copy_to_user"))
    seen = seen[ancestor(events, seen, outer) >= 0]
    reported, others = joint_keys((ancestor(events, own, outer),), (ancestor(events, seen, outer),))
    copy = np.concatenate([own, seen[~np.isin(others, reported)]])
    owner = take(position, ancestor(events, copy, outer))
    order = np.lexsort((events.start_ns[copy], owner))
    copy = copy[order]
    whole = np.isin(copy, own) | (events.end_ns[copy] > events.start_ns[copy])
    return copy, owner[order], whole
