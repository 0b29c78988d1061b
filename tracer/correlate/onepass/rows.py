# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the exchanges: making one, adding the time in a stage, and the entries of the log."""

from __future__ import annotations

from tracer.correlate.onepass.fields import (
    C_COPIED,
    C_DECODE,
    C_ENCODE,
    C_END,
    C_ERRNO,
    C_NETNS,
    C_PACK,
    C_REPLIED,
    C_REPLIES,
    C_START,
    C_TGID,
    C_TID,
    C_TOKEN,
    C_TOTAL,
    C_UNEXPLAINED,
    N_BAD,
    N_DISORDERED,
    N_KEPT,
    N_LAST,
    N_PIECES,
    N_PIECES_AT,
    N_ROWS,
    N_STAGES,
    NONE,
    PACK_COMM,
    PACK_KIND,
    PACK_LOGGED,
    PACK_MATCH,
    PACK_SENT,
    PACK_STATUS,
    Numbers,
)
from tracer.correlate.onepass.tables import (
    comm_of,
)


def new_row(
    m: Numbers, out: Numbers, channel: int, start: int, tid: int, tgid: int, netns: int
) -> int:
    """A row with nothing in it but these."""
    row = m[N_ROWS]
    m[N_ROWS] += 1
    begin_row(m, out, row, channel, start, tid, tgid, netns)
    return row


def begin_row(
    m: Numbers, out: Numbers, row: int, channel: int, start: int, tid: int, tgid: int, netns: int
) -> None:
    """Fill in a row that was set aside."""
    for column in range(C_START, C_END):
        out[m[column] + row] = NONE
    out[m[C_START] + row] = start
    out[m[C_TID] + row] = tid
    out[m[C_TGID] + row] = tgid
    out[m[C_NETNS] + row] = netns
    for column in (C_REPLIED, C_COPIED, C_REPLIES, C_ERRNO, C_TOKEN, C_UNEXPLAINED):
        out[m[column] + row] = 0
    out[m[C_PACK] + row] = channel


def settle(
    m: Numbers,
    out: Numbers,
    row: int,
    end: int,
    status: int,
    match: int,
    kind: int,
    sent: int,
    logged: int,
) -> None:
    """Fill in what is known at the end, when the row's stages are complete.

    Its pieces must have been added: what ends last ends the row. A row of which a stage ended
    before it began keeps no stages.
    """
    start = out[m[C_START] + row]
    total = max(end, m[N_LAST]) - start
    explained = 0
    if m[N_BAD]:
        m[N_DISORDERED] += 1
        m[N_PIECES] = m[N_KEPT]
    for column in range(C_ENCODE, C_DECODE + 1):
        if m[N_BAD]:
            out[m[column] + row] = NONE
        elif out[m[column] + row] > 0:
            explained += out[m[column] + row]
    m[N_LAST] = NONE
    m[N_BAD] = 0
    m[N_KEPT] = m[N_PIECES]
    out[m[C_TOTAL] + row] = total
    out[m[C_UNEXPLAINED] + row] = total - explained
    comm = comm_of(m, out[m[C_TID] + row], out[m[C_TGID] + row], start)
    small = status << PACK_STATUS | match << PACK_MATCH | logged << PACK_LOGGED
    small |= sent << PACK_SENT | kind << PACK_KIND | (comm + 1) << PACK_COMM
    out[m[C_PACK] + row] |= small


def piece(m: Numbers, out: Numbers, row: int, column: int, start: int, end: int) -> None:
    """Add the time that an exchange spent in a stage at once, if both boundaries were observed."""
    if start < 0 or end < 0:
        return
    at = m[column] + row
    out[at] = (end - start) + (out[at] if out[at] >= 0 else 0)
    m[N_LAST] = max(m[N_LAST], end)
    if end < start:
        m[N_BAD] = 1
    if m[N_STAGES]:
        at = m[N_PIECES_AT] + 4 * m[N_PIECES]
        m[N_PIECES] += 1
        out[at] = row
        out[at + 1] = column - C_ENCODE
        out[at + 2] = start
        out[at + 3] = end
