# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time went: stages by type of exchange."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tracer.correlate.stages import STAGES
from tracer.tables.groups import QUANTILES, groups, numbers, once, quantiles
from tracer.tables.outcomes import SETTLED

_COLUMNS = ("channel", "name", "stage", "count", *(f"{q}_ns" for q in QUANTILES), "share")


def stage_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """Where the time of the settled exchanges went.

    One row per channel, name and stage that occurs, in the order of an exchange, then
    ``unexplained`` and ``total``. Columns: channel, name, stage, count (exchanges that have
    the stage), p50_ns, p90_ns, p99_ns, max_ns (of the time that an exchange was in it), and
    share: the stage's part in the total time of the channel and name, 0 to 1. Time that several
    exchanges share, because they were sent in one buffer, counts once there.
    """
    rows = []
    settled = exchanges[exchanges["status"].isin(SETTLED)]
    for (channel, name), group in groups(settled):
        counted = once(group)
        whole = float(counted["total_ns"].sum())
        for stage in (*STAGES, "unexplained", "total"):
            values = numbers(group, f"{stage}_ns")
            if not len(values):
                continue
            share = numbers(counted, f"{stage}_ns").sum() / whole if whole else 0.0
            found = quantiles(values).values()
            rows.append((channel, name, stage, len(values), *found, share))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def median_row(exchanges: pd.DataFrame, p50: int) -> int:
    """The row of the median exchange: the first whose total equals ``p50``."""
    return int(exchanges.index[exchanges["total_ns"] == p50][0])


def median_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """The median exchange of each type: the first settled one whose total is the type's p50.

    Index: the row in ``run.exchanges``. Columns: channel, name, total_ns, one column for each
    stage, and unexplained_ns (NA where it has none).
    """
    settled = exchanges[exchanges["status"].isin(SETTLED)]
    found = []
    for _key, group in groups(settled):
        values = numbers(group, "total_ns")
        if len(values):
            found.append(median_row(group, quantiles(values)["p50"]))
    columns = [f"{stage}_ns" for stage in (*STAGES, "unexplained")]
    return exchanges.loc[found, ["channel", "name", "total_ns", *columns]]


def lengths(exchange: pd.Series[Any]) -> dict[str, int]:
    """One exchange's time in each of its stages, ns, in their order.

    ``unexplained`` is among them unless it is 0.
    """
    found = {stage: exchange[f"{stage}_ns"] for stage in (*STAGES, "unexplained")}
    return {
        stage: int(ns)
        for stage, ns in found.items()
        if not pd.isna(ns) and (ns or stage != "unexplained")
    }
