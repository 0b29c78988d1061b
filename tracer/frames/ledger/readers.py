# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about readers: messages queued at traced sockets, and how many were read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from tracer.correlate.exchanges import Reads
from tracer.frames.ledger.line import Line, compared
from tracer.frames.ledger.messages import extras_of


def reader_lines(rows: Mapping[str, pd.DataFrame], reads: Reads) -> Iterator[Line]:
    """Receive calls against copies, copies against queued messages, and dropped messages."""
    copies = "skb_copy_datagram_iter"
    yield compared("netlink reads", "receive calls", reads.calls, copies, reads.filled)
    left = reads.queued - reads.known
    notes = [
        f"{reads.early} queued before the socket was watched" if reads.early else "",
        f"{left} queued, of which no read was seen" if left else "",
    ]
    yield compared(
        "messages read",
        copies,
        reads.consumed,
        "__netlink_sendskb",
        reads.known + reads.early,
        "; ".join(filter(None, notes)),
    )
    overrun = len(extras_of(rows, "overrun"))
    if overrun:
        yield Line(
            "receive queue full",
            "netlink_overrun",
            overrun,
            "known losses",
            overrun,
            0,
            True,
            "the kernel dropped these messages: the reader was too slow",
        )
