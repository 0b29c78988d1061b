# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of a single line, made to measure, and the one line of a comparison that a test looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from tracer.compare.comparison import Comparison, Options
from tracer.compare.digest import KEY, VALUES, Digest

FEW = Options(resamples=699)


def line(found: Comparison, stage: str, quantile: str = "p50") -> pd.Series[Any]:
    """The line of this stage and quantile."""
    lines = found.lines
    (row,) = lines[(lines["stage"] == stage) & (lines["quantile"] == quantile)].index
    return lines.loc[row]


def made(value: int, low: int, high: int, **how: Any) -> Digest:
    """A run of one line: the median of the handler, with its interval within the run."""
    row = {"count": 101, "fast_ns": low, "slow_ns": high} | how
    key = ("netlink", "msgchan echo", "handler", "p50")
    row |= dict(zip(KEY, key, strict=True)) | {"value_ns": value, "low_ns": low, "high_ns": high}
    lines = pd.DataFrame([row])[[*KEY, *VALUES]].set_index(KEY)
    return Digest("made", lines, {"kernel": "6.1"}, deterministic=how.get("deterministic", True))


def begun(run: Digest, place: int) -> Digest:
    """The run as the one that was recorded at this place, a minute after the one before."""
    at = datetime(2026, 11, 21, 1, tzinfo=UTC) + timedelta(minutes=place)
    return replace(run, started=at.isoformat())


def in_order(
    base: Sequence[Digest], new: Sequence[Digest], order: str
) -> tuple[list[Digest], list[Digest]]:
    """Both sides, recorded one run after another as ``order`` says: A for base, B for new."""
    left, sides = {"A": list(base), "B": list(new)}, {"A": list[Digest](), "B": list[Digest]()}
    for place, side in enumerate(order):
        sides[side].append(begun(left[side].pop(0), place))
    assert not left["A"]
    assert not left["B"]
    return sides["A"], sides["B"]
