# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket options: one call, one record, one row, with any number of copies."""

from __future__ import annotations

from tracer.correlate.onepass.calls import (
    abandoned,
)
from tracer.correlate.onepass.fields import (
    C_COPIED,
    C_COPY,
    C_DECODE,
    C_ENCODE,
    C_ENTRY,
    C_ERRNO,
    C_EXIT,
    C_HANDLER,
    C_LEVEL,
    C_OPTNAME,
    C_REPLIED,
    C_REQUEST,
    C_START,
    C_TOKEN,
    ERROR,
    GET,
    M_END,
    M_NEXT,
    M_POINT,
    M_SIZE,
    M_START,
    N_DISAGREE,
    NO_MATCH,
    NONE,
    OK,
    OP_BEGIN,
    OP_BITS,
    OP_BYTES,
    OP_COPIED,
    OP_COPY,
    OP_DONE,
    OP_ENTER,
    OP_EXIT,
    OP_LEFT,
    OP_NETNS,
    OP_NF,
    OP_OPTNAME,
    OP_PF,
    OP_POINT,
    OP_RET,
    OP_SIZE,
    OP_TGID,
    OP_TID,
    OP_TOKEN,
    P_COPY,
    P_GET,
    SET,
    T_ANS,
    T_MSG,
    UNMATCHED_KERNEL,
    Numbers,
)
from tracer.correlate.onepass.log import (
    OPTIONS,
)
from tracer.correlate.onepass.rows import (
    new_row,
    piece,
    settle,
)
from tracer.correlate.onepass.tables import (
    keeps_log,
    kind_of,
)
from tracer.event import O_BEGUN, O_COPIED, O_COPY, O_DONE, O_LEFT, O_MODULE

#: The level of an option (SOL_IP, SOL_IPV6) by its protocol family (PF_INET, PF_INET6).
PF_INET, PF_INET6, SOL_IP, SOL_IPV6 = 2, 10, 0, 41


def option(
    m: Numbers, out: Numbers, r: Numbers, i: int, thread: int, begin: int, over: int, token: int
) -> None:
    """A call of setsockopt or getsockopt that reached netfilter.

    ``begin``, ``over`` and ``token`` are those of its entry in the log (NONE: it has none).
    """
    bits, ret = r[i + OP_BITS], r[i + OP_RET]
    getting = r[i + OP_POINT] == P_GET
    channel = GET if getting else SET
    row = new_row(m, out, channel, r[i + OP_ENTER], r[i + OP_TID], r[i + OP_TGID], r[i + OP_NETNS])
    out[m[C_OPTNAME] + row] = r[i + OP_OPTNAME]
    if r[i + OP_PF] == PF_INET:
        out[m[C_LEVEL] + row] = SOL_IP
    elif r[i + OP_PF] == PF_INET6:
        out[m[C_LEVEL] + row] = SOL_IPV6
    out[m[C_REQUEST] + row] = 0 if getting else r[i + OP_SIZE]
    out[m[C_REPLIED] + row] = r[i + OP_SIZE] if getting and ret >= 0 else 0
    out[m[C_ERRNO] + row] = -ret if ret < 0 else 0
    module = bits & O_MODULE
    out[m[C_TOKEN] + row] = r[i + OP_TOKEN] if module else 0
    if begin >= 0:
        out[m[C_START] + row] = begin
        if module and token != r[i + OP_TOKEN]:
            m[N_DISAGREE] += 1
    piece(m, out, row, C_ENCODE, begin, r[i + OP_ENTER])
    option_stages(m, out, r, i, row, thread)
    piece(m, out, row, C_DECODE, r[i + OP_EXIT], over)
    mine = keeps_log(m, r[i + OP_TGID], OPTIONS + channel, r[i + OP_OPTNAME])
    status = ERROR if ret < 0 else OK
    if begin < 0 and mine:
        status = UNMATCHED_KERNEL
    logged = 1 if begin >= 0 else 0
    kind = kind_of(m, OPTIONS, r[i + OP_OPTNAME])
    settle(m, out, row, max(r[i + OP_EXIT], over), status, NO_MATCH, kind, logged, logged)


def option_stages(m: Numbers, out: Numbers, r: Numbers, i: int, row: int, thread: int) -> None:
    """Add the stages between entry and return. Between two copies the handler runs again."""
    bits = r[i + OP_BITS]
    module = bits & O_MODULE
    left = r[i + OP_LEFT] if bits & O_LEFT else r[i + OP_EXIT]
    begin, done = r[i + OP_NF], left
    if module:
        begin = r[i + OP_BEGIN] if bits & O_BEGUN else begin
        done = r[i + OP_DONE] if bits & O_DONE else begin
    piece(m, out, row, C_ENTRY, r[i + OP_ENTER], begin)
    free, leaves = begin, done
    copied, count = 0, 0
    if bits & O_COPY:
        end = r[i + OP_COPIED] if bits & O_COPIED else r[i + OP_COPY]
        whole = 1 if module or end > r[i + OP_COPY] else 0
        leaves = copy_piece(m, out, row, free, r[i + OP_COPY], end, whole)
        free, copied, count = end, r[i + OP_BYTES], 1
    e = m[thread + T_MSG]
    while e >= 0:
        if (
            m[e + M_POINT] == P_COPY
            and not (module and bits & O_COPY)
            and (r[i + OP_NF] <= m[e + M_START] <= left)
        ):
            whole = 1 if m[e + M_END] > m[e + M_START] else 0
            leaves = copy_piece(m, out, row, free, m[e + M_START], m[e + M_END], whole)
            free, count = m[e + M_END], count + 1
            copied += m[e + M_SIZE]
        e = m[e + M_NEXT]
    if m[thread + T_MSG] >= 0 or m[thread + T_ANS] >= 0:
        abandoned(m, out, thread)
    if not count:
        piece(m, out, row, C_HANDLER, begin, done)
    piece(m, out, row, C_EXIT, leaves, r[i + OP_EXIT])
    out[m[C_COPIED] + row] = copied


def copy_piece(
    m: Numbers, out: Numbers, row: int, free: int, start: int, end: int, whole: int
) -> int:
    """Add a copy and the handler's time before it; when it ended, NONE if nothing saw that."""
    piece(m, out, row, C_HANDLER, free, start)
    if not whole:
        return NONE
    piece(m, out, row, C_COPY, start, end)
    return end
