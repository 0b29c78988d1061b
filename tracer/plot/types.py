# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of exchanges in a figure, with the same numbers that the report has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from tracer.tables.groups import groups
from tracer.tables.latency import Ints, settled, totals
from tracer.tables.stages import median_row, stage_table

if TYPE_CHECKING:
    from tracer.frames.frames import Frames


class Type(NamedTuple):
    """One type of exchange: its settled exchanges and the quantiles of their totals, in ns."""

    channel: str
    name: str
    exchanges: pd.DataFrame
    p50: int
    p90: int
    p99: int

    @property
    def title(self) -> str:
        """Channel and name, such as ``netlink · msgchan echo``."""
        return f"{self.channel} · {self.name}"

    @property
    def totals(self) -> Ints:
        """The totals in ns; at least 1, because they are drawn on logarithmic axes."""
        return totals(self.exchanges)

    @property
    def median(self) -> int:
        """The row in ``run.exchanges`` of the median exchange: the first whose total is p50."""
        return median_row(self.exchanges, self.p50)


def types(run: Frames, stages: pd.DataFrame | None = None) -> list[Type]:
    """The types that have settled exchanges, in the report's order.

    ``stages`` is :func:`tracer.tables.stage_table` of them, where it is at hand.
    """
    found = dict(groups(settled(run.exchanges)))
    table = stage_table(run.exchanges) if stages is None else stages
    return [
        Type(row.channel, row.name, found[row.channel, row.name], row.p50_ns, row.p90_ns,
             row.p99_ns)
        for row in table[table["stage"] == "total"].itertuples(name="Row", index=False)
    ]  # fmt: skip
