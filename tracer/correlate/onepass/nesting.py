# SPDX-License-Identifier: GPL-2.0-or-later
"""The answers that were queued inside a send call: which message of its buffer each belongs to.

It is the one with the answer's sequence number. Of several, it is the one whose handler had begun,
where msgchan tells that. Elsewhere they take turns: the kernel handles the messages one after the
other, and ends a message with an NLMSG_ERROR if the message asked for one (NLM_F_ACK) or failed.
So an NLMSG_ERROR belongs to the first message from the turn on whose header it carries, if possible
one that asked for it, and ends its turn; any other answer belongs to the message whose turn it is.
"""

from __future__ import annotations

from tracer.correlate.onepass.fields import (
    A_ATYPE,
    A_HEADLESS,
    A_NEXT,
    A_PORT,
    A_QUEUED,
    A_SEQ,
    A_SINCE,
    A_SIZE,
    A_SOCK,
    A_SOURCE,
    A_STATE,
    A_TYPE,
    HEADER,
    M_SOCK,
    N_ASTRAY,
    NESTED,
    NONE,
    OPEN,
    ORDER,
    R_ARRIVAL,
    R_FIRST,
    R_FLAGS,
    R_HANDLED,
    R_LOST,
    R_MATE,
    R_PEER,
    R_SEQ,
    R_SOCK,
    R_TYPE,
    T_ANS,
    T_ANS_LAST,
    Numbers,
)
from tracer.correlate.onepass.joining import (
    NLM_F_ACK,
    NLMSG_ERROR,
    attach,
    completes,
    expects,
)
from tracer.event import BY_BROADCAST

#: The size of an NLMSG_ERROR that carries the header of its request.
LEAST_ERROR = 36


def nested_answers(
    m: Numbers, out: Numbers, thread: int, first: int, enter: int, leave: int, dst: int, size: int
) -> None:
    """Attach the answers that the thread's extra records told of to the messages of its buffer.

    ``first`` is the buffer's first message, the others follow it by R_MATE. What does not fit is
    left to be joined by its number.
    """
    a = m[thread + T_ANS]
    m[thread + T_ANS] = m[thread + T_ANS_LAST] = NONE
    turn = first
    while a >= 0:
        following = m[a + A_NEXT]
        m[a + A_NEXT] = NONE
        m[a + A_STATE] = OPEN
        # An interrupt's message may be queued while the call begins. None can begin before the
        # call and be queued inside of it: an interrupt is over before its thread goes on.
        since = m[a + A_SINCE] if m[a + A_SINCE] >= 0 else m[a + A_QUEUED]
        inside = enter <= since and m[a + A_QUEUED] <= leave
        if since < enter and enter <= m[a + A_QUEUED]:
            m[N_ASTRAY] += 1
        if m[first + R_PEER]:
            if inside and m[first + R_FIRST] < 0 and is_sent(m, first, a, dst, size):
                attach(m, out, first, a, NESTED)
        elif inside and is_own(m, first, a):
            turn = nested_answer(m, out, first, turn, a)
        a = following


def is_sent(m: Numbers, first: int, a: int, dst: int, size: int) -> bool:
    """Whether the queued message is the buffer that was sent to a peer."""
    alike = m[a + A_PORT] == dst and m[a + A_SIZE] == size and m[a + A_SOURCE] != BY_BROADCAST
    return alike and m[a + A_SEQ] == max(m[first + R_SEQ], 0)


def is_own(m: Numbers, first: int, a: int) -> bool:
    """Whether the message may be an answer: it was sent to the sender's own socket alone."""
    own = m[a + A_SOCK] == m[first + R_SOCK]
    return own and m[a + A_SOURCE] != BY_BROADCAST and m[a + A_HEADLESS] == 0


def nested_answer(m: Numbers, out: Numbers, first: int, turn: int, a: int) -> int:
    """Attach an answer to the message of the buffer that it belongs to; whose turn is next."""
    seq = m[a + A_SEQ]
    count, only, told = 0, NONE, NONE
    q = first
    while q >= 0:
        if m[q + R_SEQ] == seq:
            count += 1
            if only < 0:
                only = q
            if m[q + R_HANDLED] and m[q + R_ARRIVAL] <= m[a + A_QUEUED]:
                told = q
        q = m[q + R_MATE]
    if count == 0:
        return turn
    if count == 1 or told >= 0:
        q = only if count == 1 else told
        attach(m, out, q, a, NESTED)
        return after(m, turn, q) if m[a + A_TYPE] == NLMSG_ERROR else turn
    return in_turn(m, out, first, turn, a)


def in_turn(m: Numbers, out: Numbers, first: int, turn: int, a: int) -> int:
    """The same where several messages have the number, and nothing but the order tells."""
    seq = m[a + A_SEQ]
    about = NONE
    if m[a + A_TYPE] == NLMSG_ERROR and m[a + A_SIZE] >= LEAST_ERROR:
        about = m[a + A_ATYPE]
    same, last, over = 0, NONE, 1
    headed, asked, anyone, any_asked = NONE, NONE, NONE, NONE
    q = first
    while q >= 0:
        over = 0 if q == turn else over
        if m[q + R_SEQ] == seq:
            last = q
            like = m[q + R_TYPE] == about
            acks = m[q + R_FLAGS] & NLM_F_ACK != 0
            same += 1 if like else 0
            if not over:
                headed = q if headed < 0 and like else headed
                asked = q if asked < 0 and like and acks else asked
                anyone = q if anyone < 0 else anyone
                any_asked = q if any_asked < 0 and acks else any_asked
        q = m[q + R_MATE]
    chosen = anyone if anyone >= 0 else last
    if m[a + A_TYPE] != NLMSG_ERROR:
        attach(m, out, chosen, a, ORDER)
        return turn
    for better in (any_asked, headed, asked):
        chosen = better if better >= 0 else chosen
    attach(m, out, chosen, a, HEADER if same == 1 else ORDER)
    return after(m, turn, chosen)


def after(m: Numbers, turn: int, q: int) -> int:
    """Whose turn is next when message ``q`` has ended: the next one's, but no earlier one's."""
    here = turn
    while here >= 0 and here != q:
        here = m[here + R_MATE]
    if here < 0:
        return turn
    return m[q + R_MATE] if m[q + R_MATE] >= 0 else q


def overrun(m: Numbers, first: int, e: int) -> None:
    """A message for the sender did not fit: the first request that lacks its answer lost it."""
    q = first
    while q >= 0:
        if m[q + R_SOCK] == m[e + M_SOCK] and not m[q + R_LOST] and expects(m, q):
            a = m[q + R_FIRST]
            while a >= 0 and not completes(m, q, a):
                a = m[a + A_NEXT]
            if a < 0:
                m[q + R_LOST] = 1
                return
        q = m[q + R_MATE]
