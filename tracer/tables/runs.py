# SPDX-License-Identifier: GPL-2.0-or-later
"""An overview of several recordings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tracer.frames.frames import Frames
from tracer.tables.outcomes import SETTLED


def overview(runs: Sequence[Frames]) -> pd.DataFrame:
    """What was recorded in each run, and whether it is trusted: one row per run.

    recording
        Its directory (the index).
    started
        When it was recorded, UTC.
    command
        The command that was recorded.
    exchanges, settled
        How many exchanges there are, and how many of them are settled.
    trusted
        Whether its ledger balances.
    """
    rows = []
    for run in runs:
        rows.append(
            {
                "recording": str(run.path),
                "started": run.meta.get("started", ""),
                "command": " ".join(run.meta.get("command") or []),
                "exchanges": len(run.exchanges),
                "settled": int(run.exchanges["status"].isin(SETTLED).sum()),
                "trusted": run.trusted,
            }
        )
    return pd.DataFrame(rows).set_index("recording")
