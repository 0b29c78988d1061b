# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole report as plain values, for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tracer import tables
from tracer.correlate.stages import STAGES
from tracer.tables.latency import distribution_table, size_latency_table, time_table
from tracer.tables.slowest import slowest_table

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

_META = ("command", "host", "kernel", "machine", "module", "started", "clock", "tracer")


def summary(run: Frames) -> dict[str, Any]:
    """The content of the text and the page: times in ns, sizes in bytes, None if not known.

    ``medians`` and ``slowest`` hold single exchanges: ``row`` is the row in ``run.exchanges``,
    ``stages`` the time in each stage.
    """
    exchanges = run.exchanges
    return {
        "path": str(run.path),
        **{key: run.meta.get(key) for key in _META},
        "duration_ns": tables.duration_ns(run),
        "trusted": bool(run.trusted),
        "reasons": tables.reasons(run),
        "losses": tables.losses(run),
        "rows": {"events": len(run.events), "sends": len(run.sends), "exchanges": len(exchanges)},
        "stages": records(tables.stage_table(exchanges)),
        "medians": _single(tables.median_table(exchanges)),
        "distribution": records(distribution_table(exchanges)),
        "over_time": records(time_table(exchanges)),
        "sizes": records(tables.size_table(exchanges)),
        "latency_by_size": records(size_latency_table(exchanges)),
        "slowest": _single(slowest_table(exchanges)),
        "outcomes": records(tables.outcome_table(exchanges)),
        "ledger": records(run.ledger),
        "plan": run.meta.get("plan"),
    }


def _single(exchanges: pd.DataFrame) -> list[dict[str, Any]]:
    """Single exchanges, with their stages in an object of its own."""
    stages = [f"{stage}_ns" for stage in (*STAGES, "unexplained")]
    told = records(exchanges.drop(columns=stages))
    return [
        {"row": int(row), **one, "stages": tables.lengths(exchanges.loc[row])}
        for row, one in zip(exchanges.index, told, strict=True)
    ]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain values for JSON: no numpy types, None for NA and NaN."""
    rows: list[dict[str, Any]] = []
    for row in frame.to_dict("records"):
        plain = {str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
        rows.append({key: None if pd.isna(value) else value for key, value in plain.items()})
    return rows
