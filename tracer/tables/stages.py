# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time went: stages by type of exchange."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tracer.correlate.stages import STAGES
from tracer.tables.groups import QUANTILES, groups, numbers, quantiles
from tracer.tables.outcomes import SETTLED

_COLUMNS = ("channel", "name", "stage", "count", *(f"{q}_ns" for q in QUANTILES), "share")


def stage_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """Where the time went, from settled exchanges only.

    One row per channel, name and stage that was seen, in the order of the path,
    then ``unexplained`` and ``total``: count (exchanges that have the stage),
    p50_ns, p90_ns, p99_ns, max_ns (of an exchange's sum of that stage), share
    (of the group's total time, 0 to 1).
    """
    rows = []
    settled = exchanges[exchanges["status"].isin(SETTLED)]
    for (channel, name), group in groups(settled):
        whole = float(group["total_ns"].sum())
        for stage in (*STAGES, "unexplained", "total"):
            values = numbers(group, f"{stage}_ns")
            if not len(values):
                continue
            share = values.sum() / whole if whole else 0.0
            found = quantiles(values).values()
            rows.append((channel, name, stage, len(values), *found, share))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def median_row(exchanges: pd.DataFrame, p50: int) -> int:
    """The row of the median exchange: the first whose total is ``p50``, so it occurred."""
    return int(exchanges.index[exchanges["total_ns"] == p50][0])


def median_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """The median exchange of each type, of settled exchanges only.

    Index: the row in ``run.exchanges``. Columns: channel, name, total_ns, and one for each
    stage and unexplained_ns (NA where it has none).
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
    """An exchange's stages in the order of the path, in ns; ``unexplained`` unless it is 0."""
    found = {stage: exchange[f"{stage}_ns"] for stage in (*STAGES, "unexplained")}
    return {
        stage: int(ns)
        for stage, ns in found.items()
        if not pd.isna(ns) and (ns or stage != "unexplained")
    }
