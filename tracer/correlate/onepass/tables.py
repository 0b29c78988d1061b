# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries that are used again, lists of those that wait, and tables with a key of two numbers."""

from __future__ import annotations

from tracer.correlate.onepass.fields import (
    FAR,
    K_KNOWN,
    K_TAIL,
    K_WIDTH,
    N_KINDS,
    N_LOG_BOUNDS,
    N_LOG_TIDS,
    N_LOGGING,
    N_POLLS,
    N_SOCKETS,
    N_TASK_STARTS,
    N_TASK_TIDS,
    N_THREADS,
    N_TOP,
    NONE,
    PLACE,
    T_ANS,
    T_ANS_LAST,
    T_AT,
    T_LOG,
    T_LOG_END,
    T_MSG,
    T_MSG_LAST,
    T_TASK,
    T_TASK_END,
    T_WIDTH,
    W_END,
    W_START,
    W_WIDTH,
    Numbers,
)


def taken(m: Numbers, free: int, width: int) -> int:
    """A free entry of this width: the last one that was given back, or a new one.

    ``free`` is where the first free entry of the kind is named; each names the next one in its
    first field, by a number below NONE.
    """
    entry = m[free]
    if entry < 0:
        entry = m[N_TOP]
        m[N_TOP] = entry + width
        return entry
    m[free] = -2 - m[entry]
    return entry


def given_back(m: Numbers, free: int, entry: int) -> None:
    """Give an entry back. Its first field is below 0 from now on."""
    m[entry] = -2 - m[free]
    m[free] = entry


def append(m: Numbers, first: int, entry: int, later: int) -> None:
    """Append an entry to a list; ``later`` is the field that links them.

    At ``first`` and behind it the list's first and last entry are named.
    """
    m[entry + later] = NONE
    last = m[first + 1]
    if last < 0:
        m[first] = entry
    else:
        m[last + later] = entry
    m[first + 1] = entry


def next_of(m: Numbers, first: int, later: int) -> int:
    """Take the first of the entries that wait; there is one."""
    entry = m[first]
    m[first] = m[entry + later]
    if m[first] < 0:
        m[first + 1] = NONE
    return entry


def place(m: Numbers, table: int, a: int, b: int) -> int:
    """Where the key (a, b) stands in a table, or where it would: there the third number is 0.

    A place has four numbers: the key, the entry that has it, and nothing. ``table`` is where the
    table's own place is told, and behind it how many places it has, and how many are in use.
    """
    mask = m[table + 1] - 1
    at = a * 40503 + b * 9973
    at = (at ^ (at >> 15)) & mask
    while True:
        here = m[table] + PLACE * at
        if m[here + 2] == 0 or (m[here] == a and m[here + 1] == b):
            return here
        at = (at + 1) & mask


def added(m: Numbers, table: int, here: int, a: int, b: int, width: int) -> int:
    """A new entry with the key (a, b), whose place is ``here``."""
    entry = m[N_TOP]
    m[N_TOP] = entry + width
    m[here] = a
    m[here + 1] = b
    m[here + 2] = entry
    m[table + 2] += 1
    return entry


def socket_of(m: Numbers, netns: int, proto: int, port: int) -> int:
    """The entry of a netlink socket."""
    a = netns << 8 | proto
    here = place(m, N_SOCKETS, a, port)
    if m[here + 2]:
        return m[here + 2]
    entry = added(m, N_SOCKETS, here, a, port, K_WIDTH)
    m[entry + K_TAIL] = NONE
    m[entry + K_KNOWN] = FAR
    return entry


def thread_of(m: Numbers, tid: int, cpu: int) -> int:
    """The entry of a thread. Each CPU's idle task is one of its own, all of them have tid 0."""
    key = tid if tid else -1 - cpu
    here = place(m, N_THREADS, key, 0)
    if m[here + 2]:
        return m[here + 2]
    entry = added(m, N_THREADS, here, key, 0, T_WIDTH)
    log, tasks = m[N_LOG_TIDS], m[N_TASK_TIDS]
    bounds = m[N_LOG_BOUNDS] - log
    m[entry + T_LOG] = m[first_of(m, log, m[N_LOG_BOUNDS], key) + bounds]
    m[entry + T_LOG_END] = m[first_of(m, log, m[N_LOG_BOUNDS], key + 1) + bounds]
    m[entry + T_AT] = m[entry + T_LOG]
    m[entry + T_TASK] = first_of(m, tasks, m[N_TASK_STARTS], key)
    m[entry + T_TASK_END] = first_of(m, tasks, m[N_TASK_STARTS], key + 1)
    m[entry + T_MSG] = m[entry + T_MSG_LAST] = NONE
    m[entry + T_ANS] = m[entry + T_ANS_LAST] = NONE
    return entry


def first_of(m: Numbers, low: int, high: int, wanted: int) -> int:
    """The position of the first of the sorted values there that is not below ``wanted``."""
    while low < high:
        middle = (low + high) // 2
        if m[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def poll_of(m: Numbers, thread: int, sock: int) -> int:
    """The entry of the last poll of a thread on a socket."""
    here = place(m, N_POLLS, thread, sock)
    if m[here + 2]:
        return m[here + 2]
    entry = added(m, N_POLLS, here, thread, sock, W_WIDTH)
    m[entry + W_START] = FAR
    m[entry + W_END] = NONE
    return entry


def kind_of(m: Numbers, space: int, number: int) -> int:
    """The number of a type of exchange: of a message type in a protocol, or of an option."""
    here = place(m, N_KINDS, space, number)
    if m[here + 2]:
        return m[m[here + 2]]
    entry = added(m, N_KINDS, here, space, number, 1)
    m[entry] = m[N_KINDS + 2] - 1
    return m[entry]


def keeps_log(m: Numbers, tgid: int, space: int, number: int) -> int:
    """Whether the log has a send or call of this process by a socket or option, as 0 or 1."""
    return 1 if m[place(m, N_LOGGING, tgid << 10 | space, number) + 2] else 0


def comm_of(m: Numbers, tid: int, tgid: int, at: int) -> int:
    """The row of the task record that tells a thread's name at a time, NONE without one.

    It is the thread's last one, or else the last one of its process's first thread. Rows are those
    of the task records sorted by thread and time.
    """
    shift = m[N_TASK_STARTS] - m[N_TASK_TIDS]
    for who in (tid, tgid):
        if who < 0:
            continue
        thread = thread_of(m, who, 0)
        begin = m[thread + T_TASK]
        if begin < m[thread + T_TASK_END]:
            found = first_of(m, begin + shift, m[thread + T_TASK_END] + shift, at + 1) - shift
            if found > begin:
                return found - 1 - m[N_TASK_TIDS]
    return NONE
