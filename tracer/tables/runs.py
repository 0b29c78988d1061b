# SPDX-License-Identifier: GPL-2.0-or-later
"""What several recordings are, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tracer.frames.frames import Frames
from tracer.tables.outcomes import SETTLED


def overview(runs: Sequence[Frames]) -> pd.DataFrame:
    """What each run is, one row per run.

    recording
        Its directory (the index).
    started
        When it was recorded, UTC.
    command
        What was recorded.
    exchanges, settled
        How many there are, and how many of them are complete (ok or error).
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
