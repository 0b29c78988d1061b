# SPDX-License-Identifier: GPL-2.0-or-later
"""The medians of stages by the size of messages."""

from __future__ import annotations

import pandas as pd

from tracer.correlate.stages import STAGES
from tracer.tables.outcomes import SETTLED


def stages_by_size(exchanges: pd.DataFrame, channel: str) -> pd.DataFrame:
    """Where the time went by size: the median of every stage, of one channel.

    Counts settled exchanges only. One row for each name and size: they are the index, the size
    is the bytes of request and reply together. Columns: count (exchanges), then the median
    (ns) of each stage that occurs on this channel, in the order of an exchange, and of
    ``total``. The medians of the stages do not add up to the median of the total.
    """
    settled = exchanges[exchanges["status"].isin(SETTLED) & (exchanges["channel"] == channel)]
    moved = settled[["request_bytes", "reply_bytes"]].fillna(0).sum(axis=1).rename("bytes")
    grouped = settled.groupby([settled["name"].astype(str), moved], sort=True)
    names = [s for s in (*STAGES, "total") if settled[f"{s}_ns"].notna().any()]
    table = grouped[[f"{name}_ns" for name in names]].quantile(0.5, interpolation="lower")
    return table.rename(columns=lambda name: name.removesuffix("_ns")).assign(count=grouped.size())[
        ["count", *names]
    ]
