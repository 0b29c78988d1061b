# SPDX-License-Identifier: GPL-2.0-or-later
"""How exchanges ended, and whether the recording can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from tracer.tables.groups import groups
from tracer.units import count_text

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

SETTLED = ("ok", "error")
"""The statuses of settled exchanges: those that are complete. The others lack some of their stages,
so statistics of stages and totals leave them out."""


def outcome_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """How exchanges ended, one row per channel and name.

    Columns: channel, name, count, and as text how often each status and each match occurred,
    such as ``ok 990, error 10``.
    """
    rows = [
        (channel, name, len(group), _tally(group["status"]), _tally(group["match"]))
        for (channel, name), group in groups(exchanges)
    ]
    return pd.DataFrame(rows, columns=["channel", "name", "count", "status", "match"])


def reasons(run: Frames) -> list[str]:
    """Why the run is not trusted: a line of text for each ledger line that is not ok."""
    told = [_reason(line) for line in run.ledger.to_dict("records") if not line["ok"]]
    if not told and not run.trusted:
        told.append("no line of the ledger says why")
    return told


def losses(run: Frames) -> list[str]:
    """What is known to be lost, a line of text each: segments, records, missed hits."""
    told = list(run.damage)
    for point, account in sorted((run.meta.get("accounts") or {}).items()):
        lost = {key: (account or {}).get(key) for key in ("lost", "missed")}
        told += [f"{point}: {count:,} {key}" for key, count in lost.items() if count]
    told += [f"{name}: {n:,}" for name, n in (run.meta.get("losses") or {}).items() if n]
    return told


def _tally(column: pd.Series[Any]) -> str:
    counts = column.astype(str).value_counts()
    return ", ".join(f"{value} {count:,}" for value, count in counts.items())


def _reason(line: dict[Any, Any]) -> str:
    note = f" ({line['note']})" if line["note"] else ""
    return (
        f"{line['line']}: {line['witness']} {count_text(line['count'])}, "
        f"{line['against']} {count_text(line['other'])}, "
        f"difference {count_text(line['difference'], sign='+')}{note}"
    )
