# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and their answers: making them, attaching one to the other, and the answers by number.

An answer that is not nested in a send call is that of the last request of its socket that has its
sequence number and had begun when it was queued. Number 0 tells nothing, except of a dump.
"""

from __future__ import annotations

from tracer.correlate.onepass.fields import (
    A_COPY,
    A_HEADLESS,
    A_LAST,
    A_MATCH,
    A_NETNS,
    A_NEXT,
    A_OWNER,
    A_PORT,
    A_PROTO,
    A_QUEUED,
    A_RET,
    A_ROW,
    A_SEQ,
    A_SINCE,
    A_SIZE,
    A_SOCK,
    A_SOURCE,
    A_STATE,
    A_TGID,
    A_TID,
    A_TYPE,
    C_PORT,
    C_PROTO,
    C_REPLIED,
    C_REPLIES,
    C_SEQ,
    FAR,
    FURTHER,
    ID,
    K_TAIL,
    MATCHED,
    N_NOW,
    N_REQ,
    N_REQ_DUE,
    N_ROWS,
    NETLINK,
    NONE,
    NOTICE,
    R_AFTER,
    R_ARRIVAL,
    R_BEFORE,
    R_BEGIN,
    R_BEGUN,
    R_CUT,
    R_DONE,
    R_DUE,
    R_DUMP,
    R_ENTER,
    R_ERRNO,
    R_EXIT,
    R_FIRST,
    R_FLAGS,
    R_LATER,
    R_MATE,
    R_OVER,
    R_PEER,
    R_QUEUEING,
    R_ROW,
    R_SENT,
    R_SEQ,
    R_SOCK,
    R_TRIED,
    R_TYPE,
    R_UNICAST,
    R_WIDTH,
    REQUESTS,
    Numbers,
)
from tracer.correlate.onepass.rows import (
    new_row,
)
from tracer.correlate.onepass.tables import (
    append,
    taken,
)
from tracer.event import BY_BROADCAST, BY_DUMP

NLMSG_ERROR, NLM_F_ACK, NLM_F_DUMP = 2, 4, 0x300


def new_request(m: Numbers, row: int, sock: int, seq: int, kind: int, flags: int) -> int:
    """A request whose row is not done, the last one of its socket."""
    q = taken(m, N_REQ, R_WIDTH)
    for field in range(R_WIDTH):
        m[q + field] = 0
    for field in (R_ENTER, R_UNICAST, R_ARRIVAL, R_DONE, R_EXIT, R_SENT, R_FIRST, R_MATE, R_AFTER):
        m[q + field] = NONE
    m[q + R_OVER] = FAR
    m[q + R_ROW] = row
    m[q + R_SOCK] = sock
    m[q + R_SEQ] = seq
    m[q + R_TYPE] = kind
    m[q + R_FLAGS] = flags
    before = m[sock + K_TAIL]
    m[q + R_BEFORE] = before
    if before >= 0:
        m[before + R_AFTER] = q
    m[sock + K_TAIL] = q
    enqueue(m, q)
    return q


def enqueue(m: Numbers, q: int) -> None:
    """Look at the request again when nothing older can come."""
    if not m[q + R_QUEUEING]:
        m[q + R_QUEUEING] = 1
        m[q + R_DUE] = m[N_NOW]
        append(m, N_REQ_DUE, q, R_LATER)


def attach(m: Numbers, out: Numbers, q: int, a: int, match: int) -> None:
    """The answer is one of this request."""
    m[a + A_STATE] = MATCHED
    m[a + A_OWNER] = q
    m[a + A_ROW] = m[q + R_ROW]
    m[a + A_MATCH] = match
    m[a + A_NEXT] = m[q + R_FIRST]
    m[q + R_FIRST] = a
    out[m[C_REPLIES] + m[q + R_ROW]] += 1
    if not m[q + R_PEER]:
        out[m[C_REPLIED] + m[q + R_ROW]] += m[a + A_SIZE]
        m[q + R_ERRNO] = max(m[q + R_ERRNO], -m[a + A_RET])
        if m[a + A_SOURCE] == BY_DUMP:
            m[q + R_DUMP] = 1
            if m[a + A_LAST]:
                m[q + R_OVER] = min(m[q + R_OVER], m[a + A_QUEUED])
    if m[a + A_COPY] >= 0:
        enqueue(m, q)


def completes(m: Numbers, q: int, a: int) -> bool:
    """Whether this answer would complete the request, once it is read."""
    is_error = m[a + A_TYPE] == NLMSG_ERROR
    if m[q + R_DUMP]:
        return is_error or m[a + A_LAST] != 0
    return is_error or m[q + R_FLAGS] & NLM_F_ACK == 0


def expects(m: Numbers, q: int) -> bool:
    """Whether the request is complete only when an answer was read."""
    return (
        m[q + R_FLAGS] & NLM_F_ACK != 0
        or m[q + R_DUMP] != 0
        or m[q + R_TRIED] != 0
        or m[q + R_FIRST] >= 0
    )


def is_over(m: Numbers, q: int) -> bool:
    """Whether nothing more is expected of the request."""
    a = m[q + R_FIRST]
    while a >= 0:
        if m[a + A_COPY] >= 0 and completes(m, q, a):
            return True
        a = m[a + A_NEXT]
    return not expects(m, q)


def resolved(m: Numbers, out: Numbers, a: int) -> None:
    """Decide what a message is that nothing else has told of: an answer, or a notification."""
    q = NONE
    dump = m[a + A_SOURCE] == BY_DUMP
    if m[a + A_SOURCE] != BY_BROADCAST and not m[a + A_HEADLESS]:
        q = request_by_number(m, a, dump)
    if q < 0 and dump:
        q = cut_dump(m, out, a)
    if q >= 0:
        attach(m, out, q, a, ID)
    else:
        m[a + A_STATE] = NOTICE
        m[a + A_ROW] = m[N_ROWS]
        m[N_ROWS] += 1


def request_by_number(m: Numbers, a: int, dump: bool) -> int:
    """The last request of the message's socket that has its number and had begun, else NONE.

    A part of a dump belongs to a dump whose last part was not queued before it, or else to a
    request for one that was not answered at all. Of a dump whose request was not seen only
    parts are answers.
    """
    seq, queued = m[a + A_SEQ], m[a + A_QUEUED]
    if seq == 0 and not dump:
        return NONE
    found, latest, empty, asked = NONE, NONE, NONE, NONE
    q, steps = m[m[a + A_SOCK] + K_TAIL], REQUESTS
    while q >= 0 and steps > 0:
        begun = m[q + R_BEGUN]
        if m[q + R_SEQ] == seq and begun <= queued and not m[q + R_PEER]:
            open_dump = m[q + R_DUMP] != 0 and queued < m[q + R_OVER]
            fits = open_dump if dump else m[q + R_CUT] == 0
            if begun > latest and fits:
                found, latest = q, begun
                steps = min(steps, FURTHER)
            if begun > asked:
                empty, asked = q, begun
        q = m[q + R_BEFORE]
        steps -= 1
    if found >= 0 or not dump or empty < 0 or m[empty + R_FIRST] >= 0:
        return found
    return empty if m[empty + R_FLAGS] & NLM_F_DUMP == NLM_F_DUMP else NONE


def cut_dump(m: Numbers, out: Numbers, a: int) -> int:
    """The request of a dump that was under way before anything of it was recorded."""
    begin = m[a + A_SINCE] if m[a + A_SINCE] >= 0 else m[a + A_QUEUED]
    row = new_row(m, out, NETLINK, begin, m[a + A_TID], m[a + A_TGID], m[a + A_NETNS])
    out[m[C_PROTO] + row] = m[a + A_PROTO]
    out[m[C_PORT] + row] = m[a + A_PORT]
    out[m[C_SEQ] + row] = m[a + A_SEQ]
    q = new_request(m, row, m[a + A_SOCK], m[a + A_SEQ], NONE, 0)
    m[q + R_DUMP] = m[q + R_CUT] = 1
    m[q + R_BEGIN] = m[q + R_BEGUN] = begin
    return q
