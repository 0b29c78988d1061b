# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of an exchange: its stages, status and counts, when nothing older can come."""

from __future__ import annotations

from tracer.correlate.onepass.fields import (
    A_BYTES,
    A_COPIED,
    A_COPY,
    A_DECODED,
    A_ENTER,
    A_EXIT,
    A_HEADLESS,
    A_MATCH,
    A_NETNS,
    A_NEXT,
    A_PEEKER,
    A_PORT,
    A_PROTO,
    A_QUEUED,
    A_QUEUEING,
    A_ROW,
    A_RTGID,
    A_RTID,
    A_SEQ,
    A_SINCE,
    A_SIZE,
    A_SOURCE,
    A_STATE,
    A_TYPE,
    A_WAITED,
    C_COPIED,
    C_COPY,
    C_DECODE,
    C_DELIVER,
    C_ENCODE,
    C_ERRNO,
    C_FIRST_REPLY,
    C_HANDLER,
    C_PORT,
    C_PROTO,
    C_QUEUE,
    C_RECV_EXIT,
    C_REPLIED,
    C_REPLIES,
    C_REPLY,
    C_REQUEST,
    C_SEND_ENTRY,
    C_SEND_EXIT,
    C_SEND_RETURN,
    C_SEQ,
    C_START,
    C_TYPE,
    C_WAKE,
    COUNTED,
    ERROR,
    FAR,
    K_TAIL,
    LOST,
    N_ANS,
    N_LIVE,
    N_REQ,
    NO_MATCH,
    NONE,
    NOTIFY,
    OK,
    OPEN,
    PARTIAL,
    R_AFTER,
    R_ARRIVAL,
    R_BEFORE,
    R_BEGUN,
    R_CUT,
    R_DONE,
    R_ENTER,
    R_ERRNO,
    R_EXIT,
    R_FIRST,
    R_HERROR,
    R_LOST,
    R_MINE,
    R_MODULE,
    R_PEER,
    R_RET,
    R_ROW,
    R_SENT,
    R_SOCK,
    R_TYPE,
    R_UNICAST,
    UNANSWERED,
    UNMATCHED_KERNEL,
    UNSEEN,
    Numbers,
)
from tracer.correlate.onepass.joining import (
    completes,
    expects,
)
from tracer.correlate.onepass.rows import (
    begin_row,
    piece,
    settle,
)
from tracer.correlate.onepass.tables import (
    given_back,
    kind_of,
)
from tracer.event import BY_DUMP, BY_UNICAST


def end_request(m: Numbers, out: Numbers, q: int) -> None:
    """Complete the row of a request or of a message to a peer, and give up its entry."""
    row = m[q + R_ROW]
    first = in_order(m, q)
    sending(m, out, q, first)
    last, finished, read = replies(m, out, q, first)
    end, logged, match = max(m[q + R_EXIT], out[m[C_START] + row]), 0, NO_MATCH
    if first >= 0:
        end, logged = tail(m, out, row, last)
        match = m[earliest(m, first) + A_MATCH]
    errno = m[q + R_ERRNO]
    if errno == 0 and m[q + R_MODULE] and m[q + R_HERROR] < 0:
        errno = -m[q + R_HERROR]
    if errno == 0 and m[q + R_RET] < 0:
        errno = -m[q + R_RET]
    out[m[C_ERRNO] + row] = errno
    status = status_of(m, q, finished, read, errno)
    sent = 1 if m[q + R_SENT] >= 0 else 0
    if not sent and m[q + R_MINE]:
        status = UNMATCHED_KERNEL
    kind = kind_of(m, out[m[C_PROTO] + row], m[q + R_TYPE])
    leave(m, out, first)
    settle(m, out, row, end, status, match, kind, sent, sent | logged)
    unlink(m, q)


def in_order(m: Numbers, q: int) -> int:
    """The first of the request's answers, linked by A_NEXT in the order in which they were read.

    Those that were not read are last. Answers come almost in this order, the last one first.
    """
    a, first = m[q + R_FIRST], NONE
    while a >= 0:
        following = m[a + A_NEXT]
        if first < 0 or not before(m, first, a):
            m[a + A_NEXT] = first
            first = a
        else:
            here = first
            while m[here + A_NEXT] >= 0 and before(m, m[here + A_NEXT], a):
                here = m[here + A_NEXT]
            m[a + A_NEXT] = m[here + A_NEXT]
            m[here + A_NEXT] = a
        a = following
    return first


def before(m: Numbers, a: int, b: int) -> bool:
    """Whether ``a`` was read before ``b``, or queued before it if neither was read first."""
    one = m[a + A_COPY] if m[a + A_COPY] >= 0 else FAR
    other = m[b + A_COPY] if m[b + A_COPY] >= 0 else FAR
    return one < other or (one == other and m[a + A_QUEUED] < m[b + A_QUEUED])


def earliest(m: Numbers, first: int) -> int:
    """The answer that was queued first."""
    found, a = first, m[first + A_NEXT]
    while a >= 0:
        if m[a + A_QUEUED] < m[found + A_QUEUED]:
            found = a
        a = m[a + A_NEXT]
    return found


def sending(m: Numbers, out: Numbers, q: int, first: int) -> None:
    """Add the stages until the first answer is queued, or until the send call returns."""
    row, enter, unicast = m[q + R_ROW], m[q + R_ENTER], m[q + R_UNICAST]
    if m[q + R_SENT] >= 0:
        piece(m, out, row, C_ENCODE, m[q + R_SENT], enter)
    piece(m, out, row, C_SEND_ENTRY, enter, unicast)
    lying = m[first + A_QUEUED] if first >= 0 else NONE
    if m[q + R_PEER]:
        piece(m, out, row, C_REPLY, unicast, lying)
        return
    piece(m, out, row, C_DELIVER, unicast, m[q + R_ARRIVAL])
    begin = m[q + R_ARRIVAL] if m[q + R_ARRIVAL] >= 0 else unicast
    if m[q + R_CUT]:
        begin = m[q + R_BEGUN]
    done = m[q + R_DONE]
    if first < 0:
        if done >= 0:
            piece(m, out, row, C_HANDLER, begin, done)
            piece(m, out, row, C_SEND_EXIT, done, m[q + R_EXIT])
        else:
            # The kernel delivers in the call: what is not seen inside it lasts as long as it does.
            piece(m, out, row, C_HANDLER, begin, m[q + R_EXIT])
        return
    if done < 0:
        by_unicast = m[first + A_SOURCE] == BY_UNICAST
        done = m[first + A_SINCE] if by_unicast else lying
    done = min(done, lying)
    piece(m, out, row, C_HANDLER, begin, done)
    if done < lying:
        piece(m, out, row, C_REPLY, done, lying)
    if m[q + R_EXIT] >= lying:
        out[m[C_SEND_RETURN] + row] = m[q + R_EXIT] - lying


def replies(m: Numbers, out: Numbers, q: int, first: int) -> tuple[int, int, int]:
    """Add the stages of every answer until the one that completes the request.

    Returns that one or else the last, whether the request is complete, and whether any was read.
    """
    row = m[q + R_ROW]
    a, last, cursor, finished, read, number = first, first, NONE, 0, 0, 0
    while a >= 0:
        last = a
        lying = m[a + A_QUEUED]
        if number and lying > cursor >= 0:
            making = cursor
            if m[a + A_SOURCE] == BY_DUMP:
                making = max(m[a + A_SINCE], cursor)
            piece(m, out, row, C_RECV_EXIT, cursor, making)
            piece(m, out, row, C_HANDLER, making, lying)
        way(m, out, row, a, max(lying, cursor))
        if m[a + A_COPY] >= 0:
            read = 1
            if number == 0 and not m[q + R_PEER]:
                out[m[C_FIRST_REPLY] + row] = m[a + A_EXIT] - out[m[C_START] + row]
        cursor = m[a + A_COPIED]
        number += 1
        if completes(m, q, a):
            finished = 1 if m[a + A_COPY] >= 0 else 0
            break
        a = m[a + A_NEXT]
    return last, finished, read


def way(m: Numbers, out: Numbers, row: int, a: int, lying: int) -> None:
    """Add the stages queue, wake and copy of a message that lies in the queue since ``lying``."""
    if m[a + A_COPY] < 0:
        return
    asked = m[a + A_ENTER]
    if m[a + A_WAITED] or m[a + A_PEEKER] == m[a + A_RTID] or asked <= lying:
        asked = lying
    piece(m, out, row, C_QUEUE, lying, asked)
    piece(m, out, row, C_WAKE, asked, m[a + A_COPY])
    piece(m, out, row, C_COPY, m[a + A_COPY], m[a + A_COPIED])


def tail(m: Numbers, out: Numbers, row: int, a: int) -> tuple[int, int]:
    """Add the stages after a message's copy; when they end, and whether the log tells of it."""
    if m[a + A_COPY] < 0:
        return m[a + A_QUEUED], 0
    piece(m, out, row, C_RECV_EXIT, m[a + A_COPIED], m[a + A_EXIT])
    end = max(m[a + A_QUEUED], m[a + A_COPIED], m[a + A_EXIT])
    if m[a + A_DECODED] < 0:
        return end, 0
    piece(m, out, row, C_DECODE, m[a + A_EXIT], m[a + A_DECODED])
    return max(end, m[a + A_DECODED]), 1


def status_of(m: Numbers, q: int, finished: int, read: int, errno: int) -> int:
    """How a request ended; see ``Frames.exchanges``."""
    if m[q + R_PEER]:
        there = read or m[q + R_PEER] == UNSEEN
        return ERROR if errno else OK if there else UNANSWERED
    if m[q + R_CUT]:
        return PARTIAL
    if finished or not expects(m, q):
        return ERROR if errno else OK
    if m[q + R_LOST]:
        return LOST
    return PARTIAL if read else ERROR if errno else UNANSWERED


def leave(m: Numbers, out: Numbers, first: int) -> None:
    """Count what was copied, and give up the answers that were read."""
    a = first
    while a >= 0:
        following = m[a + A_NEXT]
        m[a + A_STATE] = COUNTED
        if m[a + A_COPY] >= 0 and not m[a + A_QUEUEING]:
            leave_answer(m, out, a)
        a = following


def leave_answer(m: Numbers, out: Numbers, a: int) -> None:
    """Give up the entry of an answer that was read."""
    out[m[C_COPIED] + m[a + A_ROW]] += m[a + A_BYTES]
    m[a + A_STATE] = OPEN
    given_back(m, N_ANS, a)
    m[N_LIVE] -= 1


def unlink(m: Numbers, q: int) -> None:
    """Take a request out of its socket's list, and give up its entry."""
    prior, later = m[q + R_BEFORE], m[q + R_AFTER]
    if prior >= 0:
        m[prior + R_AFTER] = later
    if later >= 0:
        m[later + R_BEFORE] = prior
    else:
        m[m[q + R_SOCK] + K_TAIL] = prior
    given_back(m, N_REQ, q)


def end_notice(m: Numbers, out: Numbers, a: int) -> None:
    """Complete the row of a message that answers nothing, and give up its entry."""
    row = m[a + A_ROW]
    begin = m[a + A_SINCE] if m[a + A_SINCE] >= 0 else m[a + A_QUEUED]
    begin_row(m, out, row, NOTIFY, begin, m[a + A_RTID], m[a + A_RTGID], m[a + A_NETNS])
    out[m[C_PROTO] + row] = m[a + A_PROTO]
    out[m[C_PORT] + row] = m[a + A_PORT]
    if not m[a + A_HEADLESS]:
        out[m[C_SEQ] + row] = m[a + A_SEQ]
        out[m[C_TYPE] + row] = m[a + A_TYPE]
    out[m[C_REQUEST] + row] = 0
    out[m[C_REPLIED] + row] = m[a + A_SIZE]
    out[m[C_REPLIES] + row] = 1
    piece(m, out, row, C_REPLY, begin, m[a + A_QUEUED])
    way(m, out, row, a, m[a + A_QUEUED])
    end, logged = tail(m, out, row, a)
    kind = kind_of(m, m[a + A_PROTO], out[m[C_TYPE] + row])
    status = OK if m[a + A_COPY] >= 0 else UNANSWERED
    settle(m, out, row, end, status, NO_MATCH, kind, 0, logged)
    if m[a + A_COPY] >= 0:
        leave_answer(m, out, a)
