# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that are queued at traced sockets, as the records tell of them."""

from __future__ import annotations

from tracer.correlate.onepass.fields import (
    A_ATYPE,
    A_CHAIN,
    A_COPIED,
    A_COPY,
    A_DECODED,
    A_DUE,
    A_ENTER,
    A_EXIT,
    A_HEADLESS,
    A_LAST,
    A_LATER,
    A_LOG,
    A_NETNS,
    A_NEXT,
    A_OWNER,
    A_PEEKER,
    A_PORT,
    A_PROTO,
    A_QUEUED,
    A_QUEUEING,
    A_RET,
    A_ROW,
    A_RTGID,
    A_RTID,
    A_SEQ,
    A_SINCE,
    A_SIZE,
    A_SKB,
    A_SOCK,
    A_SOURCE,
    A_STATE,
    A_TGID,
    A_TID,
    A_TYPE,
    A_WIDTH,
    EX_ATYPE,
    EX_BITS,
    EX_CPU,
    EX_END,
    EX_NETNS,
    EX_PORT,
    EX_PROTO,
    EX_RET,
    EX_SEQ,
    EX_SIZE,
    EX_SKB,
    EX_SOURCE,
    EX_START,
    EX_TGID,
    EX_TID,
    EX_TYPE,
    N_ANS,
    N_ANS_DUE,
    N_LIVE,
    N_NOW,
    N_QUEUED,
    NONE,
    PENDING,
    SE_BEGIN,
    SE_BITS,
    SE_DONE,
    SE_DST,
    SE_NETNS,
    SE_PORT,
    SE_PROTO,
    SE_QUEUED,
    SE_RERROR,
    SE_RSIZE,
    SE_RTYPE,
    SE_SEQ,
    SE_SKB,
    SE_TGID,
    SE_TID,
    SE_UNICAST,
    T_ANS,
    Numbers,
)
from tracer.correlate.onepass.tables import (
    append,
    socket_of,
    taken,
    thread_of,
)
from tracer.correlate.onepass.ways import (
    placed_answer,
)
from tracer.event import (
    BY_DUMP,
    BY_UNICAST,
    S_BEGUN,
    S_DONE,
    S_DUMP,
    S_LAST,
    X_HEADLESS,
    X_LAST,
    X_SENDING,
)


def new_answer(m: Numbers, skb: int, sock: int) -> int:
    """A queued message of which nothing is known but these."""
    a = taken(m, N_ANS, A_WIDTH)
    m[N_QUEUED] += 1
    m[N_LIVE] += 1
    for field in range(A_WIDTH):
        m[a + field] = 0
    for field in (
        A_SINCE, A_COPY, A_COPIED, A_ENTER, A_EXIT, A_RTID, A_RTGID, A_LOG, A_DECODED, A_PEEKER,
        A_OWNER, A_ROW, A_NEXT, A_CHAIN,
    ):  # fmt: skip
        m[a + field] = NONE
    m[a + A_SKB] = skb
    m[a + A_SOCK] = sock
    return a


def arrived(m: Numbers, a: int) -> None:
    """Everything about a queued message is filled in: find its read, and look again later."""
    if m[a + A_SKB] >= 0:
        placed_answer(m, a)
    await_answer(m, a)


def await_answer(m: Numbers, a: int) -> None:
    """Look at the message again when nothing older can come."""
    if not m[a + A_QUEUEING]:
        m[a + A_QUEUEING] = 1
        m[a + A_DUE] = m[N_NOW]
        append(m, N_ANS_DUE, a, A_LATER)


def answer_of_send(m: Numbers, r: Numbers, i: int, sock: int) -> int:
    """The first answer, of which the record of the send call itself tells."""
    bits, dst = r[i + SE_BITS], r[i + SE_DST]
    if dst:
        sock = socket_of(m, r[i + SE_NETNS], r[i + SE_PROTO], dst)
    a = new_answer(m, r[i + SE_SKB], sock)
    m[a + A_PORT] = dst if dst else r[i + SE_PORT]
    m[a + A_PROTO] = r[i + SE_PROTO]
    m[a + A_NETNS] = r[i + SE_NETNS]
    m[a + A_SEQ] = r[i + SE_SEQ]
    m[a + A_TYPE] = r[i + SE_RTYPE]
    m[a + A_SIZE] = r[i + SE_RSIZE]
    m[a + A_RET] = r[i + SE_RERROR]
    m[a + A_TID] = r[i + SE_TID]
    m[a + A_TGID] = r[i + SE_TGID]
    m[a + A_QUEUED] = r[i + SE_QUEUED]
    if not dst and bits & S_DUMP:
        m[a + A_SOURCE] = BY_DUMP
        m[a + A_SINCE] = r[i + SE_BEGIN] if bits & S_BEGUN else r[i + SE_UNICAST]
        m[a + A_LAST] = 1 if bits & S_LAST else 0
    elif not dst and bits & S_DONE:
        m[a + A_SOURCE] = BY_UNICAST
        m[a + A_SINCE] = r[i + SE_DONE]
    arrived(m, a)
    return a


def queued(m: Numbers, r: Numbers, i: int) -> None:
    """A queued message of which a record of its own tells."""
    bits = r[i + EX_BITS]
    sock = socket_of(m, r[i + EX_NETNS], r[i + EX_PROTO], r[i + EX_PORT])
    a = new_answer(m, r[i + EX_SKB], sock)
    m[a + A_PORT] = r[i + EX_PORT]
    m[a + A_PROTO] = r[i + EX_PROTO]
    m[a + A_NETNS] = r[i + EX_NETNS]
    m[a + A_SEQ] = r[i + EX_SEQ]
    m[a + A_TYPE] = r[i + EX_TYPE]
    m[a + A_SIZE] = r[i + EX_SIZE]
    m[a + A_RET] = r[i + EX_RET]
    m[a + A_ATYPE] = r[i + EX_ATYPE]
    m[a + A_SOURCE] = r[i + EX_SOURCE]
    m[a + A_SINCE] = r[i + EX_START] if r[i + EX_SOURCE] else NONE
    m[a + A_QUEUED] = r[i + EX_END]
    m[a + A_LAST] = 1 if bits & X_LAST else 0
    m[a + A_HEADLESS] = 1 if bits & X_HEADLESS else 0
    m[a + A_TID] = r[i + EX_TID]
    m[a + A_TGID] = r[i + EX_TGID]
    if bits & X_SENDING:
        thread = thread_of(m, r[i + EX_TID], r[i + EX_CPU])
        m[a + A_STATE] = PENDING
        append(m, thread + T_ANS, a, A_NEXT)
    arrived(m, a)
