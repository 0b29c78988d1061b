# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's log, and which of its entries belongs to a call.

A program takes the times of an entry before and after the call. So the call's entry is one of the
same thread whose begin and end enclose the call. Several messages may go through one call, with an
entry each.
"""

from __future__ import annotations

from typing import NamedTuple

from tracer.correlate.onepass.fields import (
    A_COPY,
    A_DECODED,
    A_ENTER,
    A_EXIT,
    A_LOG,
    A_LOGGED,
    A_PORT,
    A_PROTO,
    A_RTGID,
    A_RTID,
    A_SEQ,
    C_PORT,
    C_START,
    C_TOKEN,
    N_DISAGREE,
    N_LOGGING,
    N_UNLOGGED,
    N_UNLOGGED_AT,
    NONE,
    R_BEGIN,
    R_ENTER,
    R_EXIT,
    R_MATE,
    R_ROW,
    R_SENT,
    R_SEQ,
    R_TOLD,
    REQUESTS,
    T_AT,
    T_LOG,
    T_LOG_END,
    Numbers,
)
from tracer.correlate.onepass.tables import (
    added,
    keeps_log,
    place,
)
from tracer.correlate.user import CALL, RECEIVE, SEND

#: What stands for a channel of socket options where others have a protocol.
OPTIONS = 512


class Log(NamedTuple):
    """The columns of the log; ``order`` are its rows by thread and begin, ``used`` is to be filled.

    A *place* is a position in ``order``.
    """

    order: Numbers
    begin: Numbers
    end: Numbers
    tid: Numbers
    tgid: Numbers
    kind: Numbers
    channel: Numbers
    proto: Numbers
    port: Numbers
    seq: Numbers
    type: Numbers
    token: Numbers
    used: Numbers


def learn_log(m: Numbers, log: Log, begin: int, end: int) -> None:
    """Note which sockets and options these entries of the log tell of, by process."""
    for entry in range(begin, end):
        space, number = log.proto[entry] + 0, log.port[entry] + 0
        if log.kind[entry] == CALL:
            space, number = OPTIONS + log.channel[entry], log.type[entry] + 0
        key = (log.tgid[entry] + 0) << 10 | space
        here = place(m, N_LOGGING, key, number)
        if not m[here + 2]:
            added(m, N_LOGGING, here, key, number, 0)


def entry_before(m: Numbers, log: Log, thread: int, at: int) -> int:
    """The place of a thread's last entry that began at or before this time, or NONE."""
    low, high, here = m[thread + T_LOG], m[thread + T_LOG_END], m[thread + T_AT]
    while here < high and log.begin[log.order[here]] <= at:
        here += 1
    while here > low and log.begin[log.order[here - 1]] > at:
        here -= 1
    m[thread + T_AT] = here
    return here - 1 if here > low else NONE


def entry_of(
    log: Log, place: int, kind: int, port: int, seq: int, enter: int, leave: int, skip: int
) -> int:
    """The entry of a call, NONE if there is none.

    ``place`` is the thread's last one that began at or before the call. ``skip`` so many that would
    fit as well are left out, from the last one on.
    """
    if place < 0:
        return NONE
    tid, steps = log.tid[log.order[place]], 0
    while place >= 0 and steps < REQUESTS:
        entry = log.order[place]
        if log.tid[entry] != tid or log.end[entry] < enter:
            return NONE
        if log.kind[entry] == kind and log.port[entry] == port and log.seq[entry] == seq:
            if log.end[entry] < leave:
                return NONE
            if skip == 0:
                return entry
            skip -= 1
        place -= 1
        steps += 1
    return NONE


def option_entry(log: Log, place: int, channel: int, enter: int, leave: int) -> int:
    """The entry of a socket-option call, NONE if there is none."""
    while place >= 0:
        entry = log.order[place]
        if log.end[entry] < enter:
            return NONE
        if log.kind[entry] == CALL and log.channel[entry] == channel:
            return entry if log.end[entry] >= leave else NONE
        place -= 1
    return NONE


def logged_requests(m: Numbers, out: Numbers, log: Log, first: int, place: int) -> None:
    """Find the entries of the messages of a buffer: the first message has the first one, and so on.

    If there are more entries of a number than messages, these have the last ones.
    """
    q = first
    while q >= 0:
        behind, before = 0, 0
        other, passed = first, 0
        if m[first + R_MATE] >= 0:
            while other >= 0:
                if other == q:
                    passed = 1
                elif m[other + R_SEQ] == m[q + R_SEQ]:
                    behind += passed
                    before += 1 - passed
                other = m[other + R_MATE]
        logged_request(m, out, log, q, place, behind, before)
        q = m[q + R_MATE]


def logged_request(
    m: Numbers, out: Numbers, log: Log, q: int, place: int, behind: int, before: int
) -> None:
    """Find a message's entry; so many of the same number are in the buffer behind and before it."""
    row, seq = m[q + R_ROW], max(m[q + R_SEQ], 0)
    port, enter, leave = out[m[C_PORT] + row], m[q + R_ENTER], m[q + R_EXIT]
    skip = behind
    if behind or before:
        count = 0
        while count <= behind + before and (
            entry_of(log, place, SEND, port, seq, enter, leave, count) >= 0
        ):
            count += 1
        skip = count - 1 - before if count <= behind + before else behind
    if skip < 0:
        return
    entry = entry_of(log, place, SEND, port, seq, enter, leave, skip)
    if entry < 0:
        return
    log.used[entry] = 1
    m[q + R_SENT] = m[q + R_BEGIN] = log.begin[entry]
    out[m[C_START] + row] = log.begin[entry]
    if not m[q + R_TOLD]:
        out[m[C_TOKEN] + row] = log.token[entry]
    elif out[m[C_TOKEN] + row] != log.token[entry]:
        m[N_DISAGREE] += 1


def logged_read(m: Numbers, out: Numbers, log: Log, a: int) -> None:
    """Find the entry of the read of a message; note it if its reader keeps a log without one."""
    if m[a + A_COPY] < 0 or m[a + A_LOGGED]:
        return
    m[a + A_LOGGED] = 1
    entry = entry_of(
        log,
        m[a + A_LOG],
        RECEIVE,
        m[a + A_PORT],
        m[a + A_SEQ],
        m[a + A_ENTER],
        m[a + A_EXIT],
        0,
    )
    if entry >= 0:
        log.used[entry] = 1
        m[a + A_DECODED] = log.end[entry]
    elif keeps_log(m, m[a + A_RTGID], m[a + A_PROTO], m[a + A_PORT]):
        at = m[N_UNLOGGED_AT] + 2 * m[N_UNLOGGED]
        m[N_UNLOGGED] += 1
        out[at] = m[a + A_RTID]
        out[at + 1] = m[a + A_ENTER]
