# SPDX-License-Identifier: GPL-2.0-or-later
"""Stages by the size of the message."""

from __future__ import annotations

import pandas as pd

from tracer.correlate.stages import STAGES
from tracer.tables.outcomes import SETTLED


def stages_by_size(exchanges: pd.DataFrame, channel: str) -> pd.DataFrame:
    """Where the time went by size: the median of every stage, of one channel.

    From settled exchanges. Index: name and bytes (request and reply together). One row for
    each, with count (exchanges), p50 of each stage that occurs on this channel, in the order
    of the path, and of ``total``, ns. A median of the stages is not the total's: they do not
    add up.
    """
    settled = exchanges[exchanges["status"].isin(SETTLED) & (exchanges["channel"] == channel)]
    moved = settled[["request_bytes", "reply_bytes"]].fillna(0).sum(axis=1).rename("bytes")
    grouped = settled.groupby([settled["name"].astype(str), moved], sort=True)
    names = [s for s in (*STAGES, "total") if settled[f"{s}_ns"].notna().any()]
    table = grouped[[f"{name}_ns" for name in names]].quantile(0.5, interpolation="lower")
    return table.rename(columns=lambda name: name.removesuffix("_ns")).assign(count=grouped.size())[
        ["count", *names]
    ]
