# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of a message from a socket's queue to its reader.

A message is followed by its sk_buff and its socket, from where it was queued to the first copy that
takes it from the queue. The records of both come in any order. So both are kept for a while, and
what comes decides anew: a copy takes the last message that was queued at or before it, unless an
earlier copy has taken that.
"""

from __future__ import annotations

from tracer.correlate.onepass.fields import (
    A_BYTES,
    A_CHAIN,
    A_COPIED,
    A_COPY,
    A_ENTER,
    A_EXIT,
    A_LOG,
    A_PEEKED,
    A_PEEKER,
    A_QUEUED,
    A_RTGID,
    A_RTID,
    A_SKB,
    A_SOCK,
    A_WAITED,
    D_BYTES,
    D_CHAIN,
    D_COPIED,
    D_COPY,
    D_DUE,
    D_ENTER,
    D_EXIT,
    D_LATER,
    D_LIVE,
    D_LOG,
    D_PEEK,
    D_POLL,
    D_POLLED,
    D_SKB,
    D_SOCK,
    D_TGID,
    D_TID,
    D_WIDTH,
    FAR,
    HISTORY,
    K_KNOWN,
    N_EARLY,
    N_KNOWN,
    N_NOW,
    N_RD,
    N_RD_DUE,
    N_SKB,
    NONE,
    Numbers,
)
from tracer.correlate.onepass.tables import (
    append,
    given_back,
    taken,
)


def placed_read(m: Numbers, d: int) -> int:
    """The message that a read takes, NONE if it is not known (yet). The read is kept then."""
    skb, copy = m[d + D_SKB], m[d + D_COPY]
    best, latest = NONE, NONE
    a, steps = m[m[N_SKB] + 2 * skb], 0
    while a >= 0 and m[a + A_SKB] == skb and steps < HISTORY:
        if m[a + A_SOCK] == m[d + D_SOCK] and latest < m[a + A_QUEUED] <= copy:
            best, latest = a, m[a + A_QUEUED]
        a = m[a + A_CHAIN]
        steps += 1
    if best >= 0 and 0 <= m[best + A_COPY] <= copy:
        best = NONE
    if best >= 0:
        if m[d + D_PEEK]:
            look(m, best, d)
        else:
            if m[best + A_COPY] >= 0:
                keep(m, read_of(m, best))
            take(m, best, d)
        m[d + D_LIVE] = 0
    keep(m, d)
    return best


def keep(m: Numbers, d: int) -> None:
    """Keep a read for as long as a record may come that tells of its message."""
    skb = m[d + D_SKB]
    if skb >= 0:
        m[d + D_CHAIN] = m[m[N_SKB] + 2 * skb + 1]
        m[m[N_SKB] + 2 * skb + 1] = d
    m[d + D_DUE] = m[N_NOW]
    append(m, N_RD_DUE, d, D_LATER)


def new_read(m: Numbers) -> int:
    """A read that lies open."""
    d = taken(m, N_RD, D_WIDTH)
    m[d + D_LIVE] = 1
    return d


def take(m: Numbers, a: int, d: int) -> None:
    """The read takes the message from the queue."""
    m[a + A_COPY] = m[d + D_COPY]
    m[a + A_COPIED] = m[d + D_COPIED]
    m[a + A_ENTER] = m[d + D_ENTER]
    m[a + A_EXIT] = m[d + D_EXIT]
    m[a + A_RTID] = m[d + D_TID]
    m[a + A_RTGID] = m[d + D_TGID]
    m[a + A_LOG] = m[d + D_LOG]
    m[a + A_BYTES] = m[d + D_BYTES]
    m[N_KNOWN] += 1
    sock = m[d + D_SOCK]
    m[sock + K_KNOWN] = min(m[sock + K_KNOWN], m[d + D_COPIED])
    look(m, a, d)


def look(m: Numbers, a: int, d: int) -> None:
    """Note whether the reader was waiting when the message was queued: in this call, or in poll."""
    queued = m[a + A_QUEUED]
    if m[d + D_ENTER] <= queued or m[d + D_POLL] <= queued <= m[d + D_POLLED]:
        if not m[d + D_PEEK]:
            m[a + A_WAITED] = 1
        elif m[a + A_PEEKER] < 0 or m[d + D_ENTER] < m[a + A_PEEKED]:
            m[a + A_PEEKER] = m[d + D_TID]
            m[a + A_PEEKED] = m[d + D_ENTER]


def read_of(m: Numbers, a: int) -> int:
    """What took the message, as a read of its own again; its poll is forgotten."""
    d = new_read(m)
    m[d + D_SKB] = m[a + A_SKB]
    m[d + D_SOCK] = m[a + A_SOCK]
    m[d + D_COPY] = m[a + A_COPY]
    m[d + D_COPIED] = m[a + A_COPIED]
    m[d + D_ENTER] = m[a + A_ENTER]
    m[d + D_EXIT] = m[a + A_EXIT]
    m[d + D_TID] = m[a + A_RTID]
    m[d + D_TGID] = m[a + A_RTGID]
    m[d + D_LOG] = m[a + A_LOG]
    m[d + D_BYTES] = m[a + A_BYTES]
    m[d + D_PEEK] = 0
    m[d + D_POLL] = FAR
    m[d + D_POLLED] = NONE
    m[N_KNOWN] -= 1
    m[a + A_COPY] = NONE
    m[a + A_RTID] = m[a + A_RTGID] = NONE
    m[a + A_BYTES] = 0
    m[a + A_WAITED] = 0
    return d


def placed_answer(m: Numbers, a: int) -> None:
    """Find the read of a queued message among those that came before it."""
    skb, sock, queued = m[a + A_SKB], m[a + A_SOCK], m[a + A_QUEUED]
    following, other, best = FAR, NONE, FAR
    b, steps = m[m[N_SKB] + 2 * skb], 0
    while b >= 0 and m[b + A_SKB] == skb and steps < HISTORY:
        if m[b + A_SOCK] == sock:
            if queued < m[b + A_QUEUED]:
                following = min(following, m[b + A_QUEUED])
            elif queued <= m[b + A_COPY] < best:
                other, best = b, m[b + A_COPY]
        b = m[b + A_CHAIN]
        steps += 1
    m[a + A_CHAIN] = m[m[N_SKB] + 2 * skb]
    m[m[N_SKB] + 2 * skb] = a
    found = NONE
    d, steps = m[m[N_SKB] + 2 * skb + 1], 0
    while d >= 0 and m[d + D_SKB] == skb and steps < HISTORY:
        mine = m[d + D_LIVE] and m[d + D_SOCK] == sock and not m[d + D_PEEK]
        if mine and queued <= m[d + D_COPY] < best:
            found, best = d, m[d + D_COPY]
        d = m[d + D_CHAIN]
        steps += 1
    if best < following:
        if found < 0:
            found = read_of(m, other)
            keep(m, found)
        take(m, a, found)
        m[found + D_LIVE] = 0
    peeked(m, a, min(following, best))


def peeked(m: Numbers, a: int, until: int) -> None:
    """Look at the peeks that came before their message; they lie between its queueing and until."""
    skb = m[a + A_SKB]
    d, steps = m[m[N_SKB] + 2 * skb + 1], 0
    while d >= 0 and m[d + D_SKB] == skb and steps < HISTORY:
        mine = m[d + D_LIVE] and m[d + D_PEEK] and m[d + D_SOCK] == m[a + A_SOCK]
        if mine and m[a + A_QUEUED] <= m[d + D_COPY] < until:
            look(m, a, d)
            m[d + D_LIVE] = 0
        d = m[d + D_CHAIN]
        steps += 1


def left_read(m: Numbers, d: int) -> None:
    """A read that has lain for long enough: count it if no message was found for it."""
    # A queue is first in, first out. When a message that was seen being queued has been read,
    # none from before the socket was watched is left in it.
    early = m[d + D_ENTER] < m[m[d + D_SOCK] + K_KNOWN]
    if early and m[d + D_LIVE] and not m[d + D_PEEK]:
        m[N_EARLY] += 1
    given_back(m, N_RD, d)
