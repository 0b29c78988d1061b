# SPDX-License-Identifier: GPL-2.0-or-later
"""One exchange in detail: its stages compared with what is usual, and all observations of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tracer.correlate.stages import STAGES
from tracer.tables.outcomes import SETTLED

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

_KINDS = ("send", "receive", "call")


def follow(run: Frames, row: int) -> pd.DataFrame:
    """The stages of the exchange in row ``row`` of ``run.exchanges``, compared with its type.

    One row per stage that it was in, in the order of an exchange, then ``unexplained`` and
    ``total``. Raises ``KeyError`` when there is no such exchange.

    stage
        The name of the stage (the index).
    since_ns
        From the start of the exchange until it first entered the stage, ns; NA for
        ``unexplained``.
    dur_ns
        How long it was in the stage in all, ns.
    share
        ``dur_ns`` as a share of the exchange's total, 0 to 1.
    usual_ns
        The median of this stage over the settled exchanges of the same type, ns.
    more_ns
        ``dur_ns - usual_ns``.
    """
    one = run.exchanges.loc[row]
    stages = run.stages[run.stages["exchange"] == row]
    began = stages.groupby(stages["stage"].astype(str))["start_ns"].min() - one["start_ns"]
    like = _like(run.exchanges, row)
    rows = []
    for stage in (*STAGES, "unexplained", "total"):
        length = one[f"{stage}_ns"]
        if pd.isna(length):
            continue
        usual = like[f"{stage}_ns"].dropna()
        since = 0 if stage == "total" else began.get(stage, pd.NA)
        median = int(np.percentile(usual, 50, method="inverted_cdf")) if len(usual) else pd.NA
        rows.append((stage, since, int(length), length / max(one["total_ns"], 1), median))
    columns = ["stage", "since_ns", "dur_ns", "share", "usual_ns"]
    table = pd.DataFrame(rows, columns=columns).set_index("stage")
    table = table.astype({"since_ns": "Int64", "usual_ns": "Int64", "share": float})
    return table.assign(more_ns=table["dur_ns"] - table["usual_ns"])


def observations(run: Frames, row: int) -> pd.DataFrame:
    """What was observed in an exchange's own thread while it lasted, sorted by begin.

    ``row`` is its row in ``run.exchanges``. The observations come from the program's log and
    from the probes, the module's tracepoints included. Raises ``KeyError`` when there is no
    such exchange.

    witness
        ``program`` (an entry of its log) or ``probe``.
    point
        ``send``, ``receive`` or ``call`` in the log, else the point of the event.
    depth
        How many observed kernel calls enclose it; -1 for an entry of the log.
    since_ns, dur_ns
        From the start of the exchange to its begin, and its length, ns.
    size
        Bytes.
    ret
        What the kernel function returned; NA for an entry of the log.
    """
    one = run.exchanges.loc[row]
    start = one["start_ns"]
    end = start + (0 if pd.isna(one["total_ns"]) else one["total_ns"])
    logged = run.sends[run.sends["tid"] == one["tid"]]
    logged = logged[(logged["begin_ns"] < end) & (logged["end_ns"] > start)]
    seen = run.events[run.events["tid"] == one["tid"]]
    seen = seen[(seen["start_ns"] < end) & (seen["end_ns"] > start)]
    both = pd.concat([_program(logged, start), _probes(seen, start)], ignore_index=True)
    return both.sort_values(["since_ns", "depth"], kind="stable", ignore_index=True)


def _program(logged: pd.DataFrame, start: int) -> pd.DataFrame:
    """Entries of the program's log as :func:`observations` of an exchange that began then."""
    return pd.DataFrame(
        {
            "witness": "program",
            "point": [_KINDS[int(kind)] for kind in logged["kind"]],
            "depth": -1,
            "since_ns": logged["begin_ns"].to_numpy(np.int64) - start,
            "dur_ns": (logged["end_ns"] - logged["begin_ns"]).to_numpy(np.int64),
            "size": logged["size"].to_numpy(np.int64),
            "ret": pd.array([pd.NA] * len(logged), "Int64"),
        }
    )


def _probes(seen: pd.DataFrame, start: int) -> pd.DataFrame:
    """Events as :func:`observations` of an exchange that began then."""
    return pd.DataFrame(
        {
            "witness": "probe",
            "point": seen["point"].astype(str).to_numpy(object),
            "depth": seen["depth"].to_numpy(np.int64),
            "since_ns": seen["start_ns"].to_numpy(np.int64) - start,
            "dur_ns": (seen["end_ns"] - seen["start_ns"]).to_numpy(np.int64),
            "size": seen["size"].to_numpy(np.int64),
            "ret": pd.array(seen["ret"], "Int64"),
        }
    )


def _like(exchanges: pd.DataFrame, row: int) -> pd.DataFrame:
    """The settled exchanges of the same channel and name."""
    same = exchanges["status"].isin(SETTLED)
    for column in ("channel", "name"):
        same &= exchanges[column] == exchanges.loc[row, column]
    return exchanges[same]
