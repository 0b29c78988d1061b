# SPDX-License-Identifier: GPL-2.0-or-later
"""Many recordings at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from tracer.errors import TracerError
from tracer.frames import Run, load
from tracer.order import started_at
from tracer.report.tables import SETTLED

if TYPE_CHECKING:
    from pathlib import Path

_EVER = datetime.min.replace(tzinfo=UTC)


def load_runs(pattern: str | Path) -> list[Run]:
    """Open every recording whose directory matches ``pattern``, in the order of recording.

    ``pattern`` is one of the shell: ``runs/base-*``. Recordings that do not say when they began
    come first. Raises
    :class:`tracer.errors.TracerError` when nothing matches, or for what is no readable
    recording.
    """
    found = sorted(glob.glob(os.fspath(pattern)))
    if not found:
        raise TracerError(
            f"cannot load {pattern}", "no recording matches", "give a pattern such as 'runs/base-*'"
        )
    return sorted(
        (load(path) for path in found),
        key=lambda run: (started_at(str(run.meta.get("started", ""))) or _EVER, run.path.name),
    )


def overview(runs: Sequence[Run]) -> pd.DataFrame:
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
