# SPDX-License-Identifier: GPL-2.0-or-later
"""Send calls: their messages, and what did not fit into the records of calls."""

from __future__ import annotations

from tracer.correlate.onepass.answers import (
    answer_of_send,
)
from tracer.correlate.onepass.fields import (
    A_NEXT,
    A_STATE,
    C_BUFFER,
    C_PORT,
    C_PROTO,
    C_REPLIED,
    C_REQUEST,
    C_SEQ,
    C_TOKEN,
    C_TYPE,
    EX_CPU,
    EX_END,
    EX_FLAGS,
    EX_NETNS,
    EX_POINT,
    EX_PORT,
    EX_PROTO,
    EX_RET,
    EX_SEQ,
    EX_SIZE,
    EX_START,
    EX_TGID,
    EX_TID,
    EX_TOKEN,
    EX_TYPE,
    M_END,
    M_FLAGS,
    M_NETNS,
    M_NEXT,
    M_POINT,
    M_PORT,
    M_PROTO,
    M_RET,
    M_SEQ,
    M_SIZE,
    M_SOCK,
    M_START,
    M_TGID,
    M_TID,
    M_TOKEN,
    M_TYPE,
    M_WIDTH,
    N_BUFFERS,
    N_LIVE,
    N_MSG,
    NESTED,
    NETLINK,
    NONE,
    OPEN,
    P_HANDLED,
    P_MESSAGE,
    P_OVERRUN,
    PEER,
    R_ARRIVAL,
    R_BEGIN,
    R_BEGUN,
    R_DONE,
    R_DUMP,
    R_ENTER,
    R_EXIT,
    R_HANDLED,
    R_HERROR,
    R_MATE,
    R_MINE,
    R_MODULE,
    R_PEER,
    R_RET,
    R_ROW,
    R_SEQ,
    R_TOLD,
    R_TRIED,
    R_TYPE,
    R_UNICAST,
    SE_BEGIN,
    SE_BITS,
    SE_BUFFER,
    SE_DONE,
    SE_DST,
    SE_ENTER,
    SE_ERROR,
    SE_EXIT,
    SE_FLAGS,
    SE_NETNS,
    SE_PORT,
    SE_PROTO,
    SE_RET,
    SE_SEQ,
    SE_SIZE,
    SE_TGID,
    SE_TID,
    SE_TOKEN,
    SE_TYPE,
    SE_UNICAST,
    T_ANS,
    T_ANS_LAST,
    T_MSG,
    T_MSG_LAST,
    UNSEEN,
    Numbers,
)
from tracer.correlate.onepass.joining import (
    attach,
    new_request,
)
from tracer.correlate.onepass.nesting import (
    nested_answers,
    overrun,
)
from tracer.correlate.onepass.rows import (
    new_row,
)
from tracer.correlate.onepass.tables import (
    append,
    given_back,
    keeps_log,
    socket_of,
    taken,
    thread_of,
)
from tracer.event import S_BEGUN, S_DONE, S_DUMP, S_HEADLESS, S_MODULE, S_QUEUED, S_SEVERAL, S_TRIED


def sent(m: Numbers, out: Numbers, r: Numbers, i: int, thread: int) -> int:
    """A send call: its messages, and the answers that were queued inside it; the first message."""
    sock = socket_of(m, r[i + SE_NETNS], r[i + SE_PROTO], r[i + SE_PORT])
    number = m[N_BUFFERS]
    m[N_BUFFERS] += 1
    first = request(m, out, r, i, sock, number)
    several = r[i + SE_BITS] & S_SEVERAL != 0
    further(m, out, r, i, thread, sock, first, number)
    if not several and r[i + SE_BITS] & S_TRIED and not r[i + SE_DST]:
        m[first + R_TRIED] = 1
    if r[i + SE_BITS] & S_QUEUED:
        a = answer_of_send(m, r, i, sock)
        attach(m, out, first, a, NESTED)
    if m[thread + T_ANS] >= 0:
        nested_answers(
            m, out, thread, first, r[i + SE_ENTER], r[i + SE_EXIT], r[i + SE_DST], r[i + SE_BUFFER]
        )
    overruns(m, thread, r[i + SE_ENTER], r[i + SE_EXIT], first)
    return first


def request(m: Numbers, out: Numbers, r: Numbers, i: int, sock: int, number: int) -> int:
    """The first message of a buffer."""
    bits, to_kernel = r[i + SE_BITS], r[i + SE_DST] == 0
    channel = NETLINK if to_kernel else PEER
    row = new_row(m, out, channel, r[i + SE_ENTER], r[i + SE_TID], r[i + SE_TGID], r[i + SE_NETNS])
    q = new_request(m, row, sock, r[i + SE_SEQ], r[i + SE_TYPE], r[i + SE_FLAGS])
    if not to_kernel:
        m[q + R_PEER] = 1
        out[m[C_REPLIED] + row] = NONE
    call_of(m, out, r, i, q, number)
    if bits & S_BEGUN:
        m[q + R_ARRIVAL] = r[i + SE_BEGIN]
        m[q + R_BEGUN] = r[i + SE_BEGIN]
    if bits & S_MODULE:
        m[q + R_MODULE] = m[q + R_HANDLED] = 1
        if m[q + R_ARRIVAL] < 0:
            m[q + R_ARRIVAL] = r[i + SE_UNICAST]
        m[q + R_DONE] = r[i + SE_DONE] if bits & S_DONE else m[q + R_ARRIVAL]
        m[q + R_HERROR] = r[i + SE_ERROR]
        m[q + R_TOLD] = 1
        out[m[C_TOKEN] + row] = r[i + SE_TOKEN]
    if bits & S_DUMP:
        m[q + R_DUMP] = 1
    message(m, out, r, i, q, r[i + SE_SEQ], r[i + SE_TYPE], r[i + SE_SIZE])
    if bits & S_HEADLESS:
        out[m[C_SEQ] + row] = out[m[C_TYPE] + row] = NONE
        m[q + R_SEQ] = m[q + R_TYPE] = NONE
    return q


def call_of(m: Numbers, out: Numbers, r: Numbers, i: int, q: int, number: int) -> None:
    """Fill in what the messages of one buffer have in common."""
    row = m[q + R_ROW]
    m[q + R_ENTER] = r[i + SE_ENTER]
    m[q + R_UNICAST] = m[q + R_BEGUN] = r[i + SE_UNICAST]
    m[q + R_EXIT] = r[i + SE_EXIT]
    m[q + R_RET] = r[i + SE_RET]
    out[m[C_BUFFER] + row] = number


def message(
    m: Numbers, out: Numbers, r: Numbers, i: int, q: int, seq: int, kind: int, size: int
) -> None:
    """Fill in what a message is."""
    row = m[q + R_ROW]
    proto, port = r[i + SE_PROTO], r[i + SE_PORT]
    out[m[C_PROTO] + row] = proto
    out[m[C_PORT] + row] = port
    out[m[C_SEQ] + row] = seq
    out[m[C_TYPE] + row] = kind
    out[m[C_REQUEST] + row] = size
    m[q + R_MINE] = keeps_log(m, r[i + SE_TGID], proto, port)
    m[q + R_BEGIN] = r[i + SE_ENTER]


def further(
    m: Numbers, out: Numbers, r: Numbers, i: int, thread: int, sock: int, first: int, number: int
) -> None:
    """The buffer's other messages and their handlers, of which the thread's extra records tell."""
    e, last = m[thread + T_MSG], first
    while e >= 0:
        if m[e + M_START] < r[i + SE_ENTER]:
            orphan(m, out, e)
        elif m[e + M_POINT] == P_MESSAGE:
            q = further_message(m, out, r, i, e, sock, number)
            m[last + R_MATE] = q
            last = q
        elif m[e + M_POINT] == P_HANDLED:
            handled(m, out, first, e)
        e = m[e + M_NEXT]


def further_message(
    m: Numbers, out: Numbers, r: Numbers, i: int, e: int, sock: int, number: int
) -> int:
    """A further message of a buffer; it is handled when the buffer is, if nothing tells more."""
    channel = PEER if r[i + SE_DST] else NETLINK
    row = new_row(m, out, channel, r[i + SE_ENTER], r[i + SE_TID], r[i + SE_TGID], r[i + SE_NETNS])
    q = new_request(m, row, sock, m[e + M_SEQ], m[e + M_TYPE], m[e + M_FLAGS])
    call_of(m, out, r, i, q, number)
    bits = r[i + SE_BITS]
    if r[i + SE_DST]:
        bits = 0
        m[q + R_PEER] = UNSEEN
        out[m[C_REPLIED] + m[q + R_ROW]] = NONE
    if bits & S_BEGUN and not bits & S_MODULE:
        m[q + R_ARRIVAL] = m[q + R_BEGUN] = r[i + SE_BEGIN]
    message(m, out, r, i, q, m[e + M_SEQ], m[e + M_TYPE], m[e + M_SIZE])
    return q


def handled(m: Numbers, out: Numbers, first: int, e: int) -> None:
    """msgchan's handler of a further message: the first one of that number that has none yet."""
    q = first
    while q >= 0:
        if m[q + R_SEQ] == m[e + M_SEQ] and not m[q + R_HANDLED]:
            m[q + R_HANDLED] = m[q + R_MODULE] = 1
            m[q + R_ARRIVAL] = m[q + R_BEGUN] = m[e + M_START]
            m[q + R_DONE] = m[e + M_END]
            m[q + R_HERROR] = m[e + M_RET]
            m[q + R_TOLD] = 1
            out[m[C_TOKEN] + m[q + R_ROW]] = m[e + M_TOKEN]
            return
        q = m[q + R_MATE]


def overruns(m: Numbers, thread: int, enter: int, leave: int, first: int) -> None:
    """Charge what was lost inside the send call, and forget the thread's extra records."""
    e = m[thread + T_MSG]
    while e >= 0:
        following = m[e + M_NEXT]
        if m[e + M_POINT] == P_OVERRUN and enter <= m[e + M_START] <= leave:
            overrun(m, first, e)
        given_back(m, N_MSG, e)
        m[N_LIVE] -= 1
        e = following
    m[thread + T_MSG] = m[thread + T_MSG_LAST] = NONE


def abandoned(m: Numbers, out: Numbers, thread: int) -> None:
    """The record of the send call that the thread's extra records belong to is lost."""
    e = m[thread + T_MSG]
    while e >= 0:
        following = m[e + M_NEXT]
        orphan(m, out, e)
        given_back(m, N_MSG, e)
        m[N_LIVE] -= 1
        e = following
    m[thread + T_MSG] = m[thread + T_MSG_LAST] = NONE
    a = m[thread + T_ANS]
    while a >= 0:
        following = m[a + A_NEXT]
        m[a + A_NEXT] = NONE
        m[a + A_STATE] = OPEN
        a = following
    m[thread + T_ANS] = m[thread + T_ANS_LAST] = NONE


def orphan(m: Numbers, out: Numbers, e: int) -> None:
    """A further message whose send call was lost."""
    if m[e + M_POINT] != P_MESSAGE:
        return
    start = m[e + M_START]
    row = new_row(m, out, NETLINK, start, m[e + M_TID], m[e + M_TGID], m[e + M_NETNS])
    q = new_request(m, row, m[e + M_SOCK], m[e + M_SEQ], m[e + M_TYPE], m[e + M_FLAGS])
    m[q + R_UNICAST] = m[q + R_BEGUN] = m[q + R_BEGIN] = start
    m[q + R_MINE] = keeps_log(m, m[e + M_TGID], m[e + M_PROTO], m[e + M_PORT])
    out[m[C_PROTO] + row] = m[e + M_PROTO]
    out[m[C_PORT] + row] = m[e + M_PORT]
    out[m[C_SEQ] + row] = m[e + M_SEQ]
    out[m[C_TYPE] + row] = m[e + M_TYPE]
    out[m[C_REQUEST] + row] = m[e + M_SIZE]


def extra(m: Numbers, r: Numbers, i: int) -> None:
    """A record that is part of a call whose own record is to come."""
    thread = thread_of(m, r[i + EX_TID], r[i + EX_CPU])
    e = taken(m, N_MSG, M_WIDTH)
    m[N_LIVE] += 1
    m[e + M_POINT] = r[i + EX_POINT]
    m[e + M_START] = r[i + EX_START]
    m[e + M_END] = r[i + EX_END]
    m[e + M_TOKEN] = r[i + EX_TOKEN]
    m[e + M_SOCK] = socket_of(m, r[i + EX_NETNS], r[i + EX_PROTO], r[i + EX_PORT])
    m[e + M_PORT] = r[i + EX_PORT]
    m[e + M_PROTO] = r[i + EX_PROTO]
    m[e + M_NETNS] = r[i + EX_NETNS]
    m[e + M_SEQ] = r[i + EX_SEQ]
    m[e + M_TYPE] = r[i + EX_TYPE]
    m[e + M_FLAGS] = r[i + EX_FLAGS]
    m[e + M_SIZE] = r[i + EX_SIZE]
    m[e + M_RET] = r[i + EX_RET]
    m[e + M_TID] = r[i + EX_TID]
    m[e + M_TGID] = r[i + EX_TGID]
    append(m, thread + T_MSG, e, M_NEXT)
