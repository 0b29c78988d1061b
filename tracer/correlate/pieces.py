# SPDX-License-Identifier: GPL-2.0-or-later
"""Pieces of exchanges. A piece is the time that an exchange spent in a stage without interruption.

An exchange may be in a stage several times; the pieces are the rows of ``run.stages``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, Ints, rank
from tracer.correlate.stages import STAGES


class Pieces:
    """Collects pieces: exchange (its row in a block), stage, start and end (ns)."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Ints, Ints, Ints]] = []

    def add(self, stage: str, exchange: Ints, start: Ints, end: Ints) -> None:
        """Add a piece for each row of which both boundaries were observed (neither is NONE)."""
        seen = (exchange >= 0) & (start != NONE) & (end != NONE)
        self._parts.append((stage, exchange[seen], start[seen], end[seen]))

    def shifted(self, offset: int) -> Pieces:
        """The same pieces with ``offset`` added to their exchanges."""
        moved = Pieces()
        moved._parts = [(stage, x + offset, start, end) for stage, x, start, end in self._parts]
        return moved

    def joined(self, other: Pieces) -> Pieces:
        """These pieces followed by those of ``other``."""
        both = Pieces()
        both._parts = self._parts + other._parts
        return both

    def table(self) -> pd.DataFrame:
        """The pieces with the columns of ``run.stages``, sorted by exchange and start.

        A piece may end before it starts, if the clocks of two CPUs disagree. Its ``dur_ns`` is
        negative here; ``tracer.correlate.exchanges`` removes the pieces of such exchanges.
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
