# SPDX-License-Identifier: GPL-2.0-or-later
"""The slowest exchanges of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tracer.correlate.stages import STAGES
from tracer.units import printable

COUNT = 20


def program(comm: str, tid: Any) -> str:
    """A thread's name and id, such as ``tracer 260``; ``unknown`` for a notification not read."""
    return "unknown" if pd.isna(tid) else printable(f"{comm} {tid}".strip())


def slowest_table(exchanges: pd.DataFrame, count: int = COUNT) -> pd.DataFrame:
    """The ``count`` exchanges that took longest, the slowest first, whatever their status.

    Index: the row in ``run.exchanges``. Columns: channel, name, comm, tid, status, since_ns
    (from the start of the first exchange to its own), request_bytes, reply_bytes, total_ns,
    largest (the stage that took most of the time, or ``unexplained``), largest_ns, share
    (``largest_ns`` as a share of the total, 0 to 1), one column for each stage, and
    unexplained_ns (NA where it has none).
    """
    timed = exchanges[exchanges["total_ns"].notna()]
    found = timed.sort_values("total_ns", ascending=False, kind="stable").head(count)
    names = (*STAGES, "unexplained")
    columns = [f"{name}_ns" for name in names]
    lengths = found[columns].fillna(0).to_numpy(np.int64)
    largest = lengths.argmax(axis=1) if len(found) else np.zeros(0, np.int64)
    most = lengths.max(axis=1, initial=0)
    total = found["total_ns"].to_numpy(np.int64)
    first = int(exchanges["start_ns"].min()) if len(exchanges) else 0
    kept = ["channel", "name", "comm", "tid", "status", "request_bytes", "reply_bytes", "total_ns"]
    return found[[*kept, *columns]].assign(
        since_ns=found["start_ns"] - first,
        largest=[names[i] for i in largest],
        largest_ns=most,
        share=most / np.maximum(total, 1),
    )
