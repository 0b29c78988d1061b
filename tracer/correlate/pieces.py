# SPDX-License-Identifier: GPL-2.0-or-later
"""Pieces of exchanges: which stage lies between which two observations."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, Ints, rank

STAGES = (
    "encode",
    "send_entry",
    "entry",
    "deliver",
    "handler",
    "reply",
    "queue",
    "wake",
    "copy",
    "recv_exit",
    "exit",
    "send_exit",
    "decode",
)
"""Every stage, in the order of an exchange's critical path.

Adjacent stages share the observation between them, so they add up.

encode
    The program's own: its send, or its socket-option call, begins → entry of the system call.
send_entry
    Netlink: → entry of ``netlink_unicast``.
entry
    Socket options: → the handler begins.
deliver
    Netlink: → the handler begins.
handler
    → the handler is done, or the reply's ``netlink_unicast``, or the copy begins; the later
    parts of a dump.
reply
    → the reply lies in the receiver's queue.
queue
    → the receiver asks for it; 0 when it already waited.
wake
    → the copy to user space begins.
copy
    → the copy ends.
recv_exit
    → return of the receive call.
exit
    Socket options: → return of the system call.
send_exit
    Only without a reply: the handler is done → return of the send call.
decode
    The program's own: → its receive, or its call, ends.
"""


class Pieces:
    """Collects (exchange, stage, start, end); times in ns, exchanges by row number."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Ints, Ints, Ints]] = []

    def add(self, stage: str, exchange: Ints, start: Ints, end: Ints) -> None:
        """One piece per row where both boundaries were observed (neither is NONE)."""
        seen = (exchange >= 0) & (start != NONE) & (end != NONE)
        self._parts.append((stage, exchange[seen], start[seen], end[seen]))

    def shifted(self, offset: int) -> Pieces:
        """The same pieces with ``offset`` added to their exchanges."""
        moved = Pieces()
        moved._parts = [(stage, x + offset, start, end) for stage, x, start, end in self._parts]
        return moved

    def joined(self, other: Pieces) -> Pieces:
        """These pieces and those."""
        both = Pieces()
        both._parts = self._parts + other._parts
        return both

    def table(self) -> pd.DataFrame:
        """``run.stages``: exchange, stage, occurrence, start_ns, dur_ns (ns), in path order.

        A stage whose end lies before its start (clocks of two CPUs disagreeing) has a
        negative ``dur_ns`` here; ``tracer.correlate.exchanges`` takes it out.
        """
        stage = np.concatenate(
            [np.full(x.size, STAGES.index(name), np.int8) for name, x, _s, _e in self._parts]
        )
        exchange = np.concatenate([x for _n, x, _s, _e in self._parts])
        start = np.concatenate([s for _n, _x, s, _e in self._parts])
        end = np.concatenate([e for _n, _x, _s, e in self._parts])
        order = np.lexsort((stage, start, exchange))
        stage, exchange, start, end = (v[order] for v in (stage, exchange, start, end))
        return pd.DataFrame(
            {
                "exchange": exchange,
                "stage": pd.Categorical.from_codes(stage, categories=pd.Index(STAGES)),
                "occurrence": rank(exchange, stage.astype(np.int64)),
                "start_ns": start,
                "dur_ns": end - start,
            }
        )
