# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of the bench whose numbers are known."""

from __future__ import annotations

from bench.result import ATTACHED, CALLS, TRACED, UNTRACED, Result, Round, Side
from bench.table import REFERENCE


def once(p50: int) -> Round:
    """A round in which every call took as long."""
    return {call: {"count": 7, "min": p50 - 1, "p50": p50, "p99": p50 + 1} for call in CALLS}


def side(name: str, *p50: int, told: int | None = None, happened: int | None = None) -> Side:
    """A side with a round for each median."""
    return Side(name, [once(value) for value in p50], told, happened)


def result(attached: int = 4_000, traced: int = 8_000) -> Result:
    """An untraced call of 1,000 or, at first, 1,282 instructions; ftrace adds 2,000."""
    sides = [
        side(UNTRACED, 1_282, 1_282),
        side(ATTACHED, 1_000 + attached, 1_001 + attached),
        side(TRACED, 1_002 + traced, 1_000 + traced, told=21, happened=21),
        side(UNTRACED, 1_000, 1_000),
        side(REFERENCE, 3_000, 3_000, told=42, happened=56),
        side(UNTRACED, 1_005, 1_003),
    ]
    return Result("6.1.0-9-amd64", sides, {"strace": "6.1"}, "2026-01-02")
