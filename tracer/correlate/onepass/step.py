# SPDX-License-Identifier: GPL-2.0-or-later
"""One window of records in the order of the ring, and what has waited for long enough."""

from __future__ import annotations

from tracer.correlate.onepass.answers import (
    await_answer,
    queued,
)
from tracer.correlate.onepass.calls import (
    abandoned,
    extra,
    sent,
)
from tracer.correlate.onepass.ending import (
    end_notice,
    end_request,
    leave_answer,
)
from tracer.correlate.onepass.fields import (
    A_COPY,
    A_DUE,
    A_LATER,
    A_NEXT,
    A_QUEUEING,
    A_STATE,
    COUNTED,
    D_DUE,
    D_LATER,
    EX_BITS,
    EX_POINT,
    EX_WIDTH,
    FAR,
    GET,
    K_TAIL,
    N_ANS_DUE,
    N_NOW,
    N_PATIENCE,
    N_RD_DUE,
    N_REQ_DUE,
    N_SOCKETS,
    N_THREADS,
    NONE,
    NOTICE,
    OP_CPU,
    OP_ENTER,
    OP_EXIT,
    OP_POINT,
    OP_TID,
    OP_WIDTH,
    OPEN,
    P_GET,
    P_OVERRUN,
    P_POLL,
    P_QUEUED,
    PENDING,
    PLACE,
    R_AGE,
    R_DUE,
    R_FIRST,
    R_LATER,
    R_QUEUEING,
    RE_CPU,
    RE_ENTER,
    RE_TID,
    RE_WIDTH,
    ROUNDS,
    SE_CPU,
    SE_ENTER,
    SE_TID,
    SE_WIDTH,
    SET,
    Numbers,
)
from tracer.correlate.onepass.joining import (
    enqueue,
    is_over,
    resolved,
)
from tracer.correlate.onepass.log import (
    Log,
    entry_before,
    logged_read,
    logged_requests,
    option_entry,
)
from tracer.correlate.onepass.options import (
    option,
)
from tracer.correlate.onepass.receiving import (
    polled,
    received,
)
from tracer.correlate.onepass.tables import (
    next_of,
    thread_of,
)
from tracer.correlate.onepass.ways import (
    left_read,
)
from tracer.event import X_BYSTANDER


def window(
    m: Numbers, out: Numbers, log: Log, sends: Numbers, receives: Numbers, options: Numbers,
    extras: Numbers,
) -> None:  # fmt: skip
    """Take the records of a window, each kind of them in a flat sequence in the ring's order."""
    i, j, k, e = 0, 0, 0, 0
    while True:
        first, which = FAR, 0
        if i < len(sends) and sends[i] < first:
            first, which = sends[i], 1
        if j < len(receives) and receives[j] < first:
            first, which = receives[j], 2
        if k < len(options) and options[k] < first:
            first, which = options[k], 3
        if e < len(extras) and extras[e] < first:
            first, which = extras[e], 4
        if which == 0:
            return
        m[N_NOW] += 1
        if which == 1:
            send_step(m, out, log, sends, i)
            i += SE_WIDTH
        elif which == 2:
            thread = thread_of(m, receives[j + RE_TID], receives[j + RE_CPU])
            place = entry_before(m, log, thread, receives[j + RE_ENTER])
            received(m, out, receives, j, thread, place)
            j += RE_WIDTH
        elif which == 3:
            option_step(m, out, log, options, k)
            k += OP_WIDTH
        else:
            other(m, extras, e)
            e += EX_WIDTH
        due(m, out, log, m[N_NOW] - m[N_PATIENCE])


def send_step(m: Numbers, out: Numbers, log: Log, r: Numbers, i: int) -> None:
    """A send call."""
    thread = thread_of(m, r[i + SE_TID], r[i + SE_CPU])
    place = entry_before(m, log, thread, r[i + SE_ENTER])
    first = sent(m, out, r, i, thread)
    if place >= 0:
        logged_requests(m, out, log, first, place)


def option_step(m: Numbers, out: Numbers, log: Log, r: Numbers, i: int) -> None:
    """A socket-option call."""
    thread = thread_of(m, r[i + OP_TID], r[i + OP_CPU])
    place = entry_before(m, log, thread, r[i + OP_ENTER])
    channel = GET if r[i + OP_POINT] == P_GET else SET
    entry = option_entry(log, place, channel, r[i + OP_ENTER], r[i + OP_EXIT])
    if entry < 0:
        option(m, out, r, i, thread, NONE, NONE, 0)
    else:
        log.used[entry] = 1
        option(m, out, r, i, thread, log.begin[entry], log.end[entry], log.token[entry])


def other(m: Numbers, r: Numbers, i: int) -> None:
    """An extra record, by its point."""
    point = r[i + EX_POINT]
    if point == P_QUEUED:
        queued(m, r, i)
    elif point == P_POLL:
        polled(m, r, i)
    elif point != P_OVERRUN or not r[i + EX_BITS] & X_BYSTANDER:
        extra(m, r, i)


def due(m: Numbers, out: Numbers, log: Log, until: int) -> None:
    """Deal with what has waited since the record ``until`` or longer.

    A request waits twice as long as an answer, which may come to it only when it has waited.
    """
    while m[N_RD_DUE] >= 0 and m[m[N_RD_DUE] + D_DUE] <= until:
        left_read(m, next_of(m, N_RD_DUE, D_LATER))
    while m[N_ANS_DUE] >= 0 and m[m[N_ANS_DUE] + A_DUE] <= until:
        answer_due(m, out, log, next_of(m, N_ANS_DUE, A_LATER))
    until -= m[N_PATIENCE]
    while m[N_REQ_DUE] >= 0 and m[m[N_REQ_DUE] + R_DUE] <= until:
        request_due(m, out, log, next_of(m, N_REQ_DUE, R_LATER))


def answer_due(m: Numbers, out: Numbers, log: Log, a: int) -> None:
    """Nothing will come any more that is older than this queued message."""
    m[a + A_QUEUEING] = 0
    if m[a + A_STATE] == PENDING:
        await_answer(m, a)
        return
    if m[a + A_STATE] == OPEN:
        resolved(m, out, a)
    if m[a + A_STATE] == NOTICE:
        if m[a + A_COPY] >= 0:
            logged_read(m, out, log, a)
            end_notice(m, out, a)
        else:
            await_answer(m, a)
    elif m[a + A_STATE] == COUNTED and m[a + A_COPY] >= 0:
        logged_read(m, out, log, a)
        leave_answer(m, out, a)


def request_due(m: Numbers, out: Numbers, log: Log, q: int) -> None:
    """Nothing will come any more that is older than this request, or than its answer's read."""
    m[q + R_QUEUEING] = 0
    if is_over(m, q):
        over(m, out, log, q)
    elif m[q + R_FIRST] < 0:
        m[q + R_AGE] += 1
        if m[q + R_AGE] == ROUNDS:
            over(m, out, log, q)
        else:
            enqueue(m, q)


def over(m: Numbers, out: Numbers, log: Log, q: int) -> None:
    """Complete the row of a request."""
    a = m[q + R_FIRST]
    while a >= 0:
        logged_read(m, out, log, a)
        a = m[a + A_NEXT]
    end_request(m, out, q)


def finish(m: Numbers, out: Numbers, log: Log) -> None:
    """The end of the records: complete every row."""
    for at in range(m[N_THREADS], m[N_THREADS] + PLACE * m[N_THREADS + 1], PLACE):
        if m[at + 2]:
            abandoned(m, out, m[at + 2])
    left = NONE
    while m[N_ANS_DUE] >= 0:
        a = next_of(m, N_ANS_DUE, A_LATER)
        m[a + A_QUEUEING] = 0
        if m[a + A_STATE] == OPEN:
            resolved(m, out, a)
        if m[a + A_STATE] == NOTICE or (m[a + A_STATE] == COUNTED and m[a + A_COPY] >= 0):
            m[a + A_LATER] = left
            left = a
    for at in range(m[N_SOCKETS], m[N_SOCKETS] + PLACE * m[N_SOCKETS + 1], PLACE):
        while m[at + 2] and m[m[at + 2] + K_TAIL] >= 0:
            over(m, out, log, m[m[at + 2] + K_TAIL])
    while left >= 0:
        a = left
        left = m[a + A_LATER]
        logged_read(m, out, log, a)
        if m[a + A_STATE] == NOTICE:
            end_notice(m, out, a)
        else:
            leave_answer(m, out, a)
    while m[N_RD_DUE] >= 0:
        left_read(m, next_of(m, N_RD_DUE, D_LATER))
