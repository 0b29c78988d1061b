# SPDX-License-Identifier: GPL-2.0-or-later
"""Receive calls, and waits in poll, select and epoll."""

from __future__ import annotations

from tracer.correlate.onepass.answers import (
    await_answer,
)
from tracer.correlate.onepass.calls import (
    abandoned,
)
from tracer.correlate.onepass.fields import (
    A_OWNER,
    A_STATE,
    COUNTED,
    D_BYTES,
    D_COPIED,
    D_COPY,
    D_ENTER,
    D_EXIT,
    D_LOG,
    D_PEEK,
    D_POLL,
    D_POLLED,
    D_SKB,
    D_SOCK,
    D_TGID,
    D_TID,
    EX_CPU,
    EX_END,
    EX_NETNS,
    EX_PORT,
    EX_PROTO,
    EX_START,
    EX_TID,
    FAR,
    MATCHED,
    N_CALLS,
    N_CONSUMED,
    N_FILLED,
    NONE,
    NOTICE,
    RE_BITS,
    RE_COPIED,
    RE_COPY,
    RE_ENTER,
    RE_EXIT,
    RE_FLAGS,
    RE_NETNS,
    RE_PORT,
    RE_PROTO,
    RE_RET,
    RE_SIZE,
    RE_SKB,
    RE_TGID,
    RE_TID,
    T_ANS,
    T_MSG,
    W_END,
    W_START,
    Numbers,
)
from tracer.correlate.onepass.joining import (
    enqueue,
)
from tracer.correlate.onepass.tables import (
    poll_of,
    socket_of,
    thread_of,
)
from tracer.correlate.onepass.ways import (
    keep,
    new_read,
    placed_read,
)
from tracer.event import R_COPIED, R_COPY

MSG_PEEK = 0x2


def received(m: Numbers, out: Numbers, r: Numbers, i: int, thread: int, place: int) -> None:
    """A receive call: what it read, and whether the reader had waited for it."""
    bits = r[i + RE_BITS]
    sock = socket_of(m, r[i + RE_NETNS], r[i + RE_PROTO], r[i + RE_PORT])
    copies = bits & R_COPY
    if m[thread + T_MSG] >= 0 or m[thread + T_ANS] >= 0:
        abandoned(m, out, thread)
    if r[i + RE_RET] > 0:
        m[N_CALLS] += 1
        m[N_FILLED] += 1 if copies else 0
    poll = poll_of(m, thread, sock)
    if copies:
        d = new_read(m)
        m[d + D_SKB] = r[i + RE_SKB]
        m[d + D_SOCK] = sock
        m[d + D_COPY] = r[i + RE_COPY]
        m[d + D_COPIED] = r[i + RE_COPIED] if bits & R_COPIED else r[i + RE_COPY]
        m[d + D_ENTER] = r[i + RE_ENTER]
        m[d + D_EXIT] = r[i + RE_EXIT]
        m[d + D_TID] = r[i + RE_TID]
        m[d + D_TGID] = r[i + RE_TGID]
        m[d + D_LOG] = place
        m[d + D_BYTES] = r[i + RE_SIZE]
        m[d + D_PEEK] = r[i + RE_FLAGS] & MSG_PEEK
        m[d + D_POLL] = m[poll + W_START]
        m[d + D_POLLED] = m[poll + W_END]
        m[N_CONSUMED] += 0 if m[d + D_PEEK] else 1
        if r[i + RE_SKB] >= 0:
            a = placed_read(m, d)
            if a >= 0 and not m[d + D_PEEK]:
                was_read(m, a)
        else:
            keep(m, d)
    m[poll + W_START] = FAR
    m[poll + W_END] = NONE


def polled(m: Numbers, r: Numbers, i: int) -> None:
    """A wait in poll, select or epoll on a socket."""
    thread = thread_of(m, r[i + EX_TID], r[i + EX_CPU])
    sock = socket_of(m, r[i + EX_NETNS], r[i + EX_PROTO], r[i + EX_PORT])
    poll = poll_of(m, thread, sock)
    m[poll + W_START] = r[i + EX_START]
    m[poll + W_END] = r[i + EX_END]


def was_read(m: Numbers, a: int) -> None:
    """A known message was read: its request may be complete now."""
    if m[a + A_STATE] == MATCHED:
        enqueue(m, m[a + A_OWNER])
    elif m[a + A_STATE] in (NOTICE, COUNTED):
        await_answer(m, a)
