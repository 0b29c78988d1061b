# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdicts on a line, the options, and the rule of verdicts that is common to all clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tracer.compare.resample import Floats

SAME, SLOWER, FASTER, INCONCLUSIVE = "same", "slower", "faster", "inconclusive"
EXIT_STATUS = {SAME: 0, FASTER: 0, SLOWER: 1, INCONCLUSIVE: 3}


@dataclass(frozen=True)
class Options:
    """How to compare.

    ``min_effect`` (share of the base) and ``min_effect_ns``: the larger one is the margin.
    ``confidence`` is that of each line's interval. ``false_alarms`` is the allowed probability
    that two sides that are alike have even one line ``slower`` or ``faster``. ``resamples`` and
    ``seed`` belong to the random resampling of runs. ``stages`` and ``types`` (channel or name)
    select lines. ``allow`` names conditions that may be violated
    (:data:`tracer.compare.conditions.CONDITIONS`). ``same_workload`` demands the same number of
    exchanges of each type in every run on a wall clock as well; on the deterministic clock that
    is always demanded.
    """

    min_effect: float = 0.02
    min_effect_ns: int = 100
    confidence: float = 0.95
    false_alarms: float = 0.01
    resamples: int = 5000
    seed: int = 1
    stages: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    allow: frozenset[str] = field(default_factory=frozenset)
    same_workload: bool = False


@dataclass(frozen=True)
class Sides:
    """For each side the columns of ``Digest.lines`` by name, as arrays of runs x lines."""

    base: dict[str, Floats]
    new: dict[str, Floats]


@dataclass(frozen=True)
class Judged:
    """The verdicts by the rules of one clock; every field has one entry for each line.

    ``low`` and ``high``: the interval of the change in ns. ``p``: adjusted for all lines, NaN
    without a test. ``why``: why a line is inconclusive, empty for a settled one. ``same_within``:
    with any larger margin (ns) an inconclusive line would be ``same``; NaN if with none.
    ``more_runs``: how many more runs a side would settle it; NaN if that is too many to record,
    or if they would not help.
    """

    low: Floats
    high: Floats
    p: Floats
    verdicts: list[str]
    why: list[str]
    same_within: Floats
    more_runs: Floats


def judged(
    change: Floats,
    low: Floats,
    high: Floats,
    margin: Floats,
    significant: npt.NDArray[np.bool_],
    reached: Floats | None = None,
) -> list[str]:
    """The verdict on each line from its change, interval and margin (ns).

    A line may be slower or faster only if it is ``significant`` and its change is at least
    ``reached`` (ns; the margin by default).
    """
    found = np.full(change.size, INCONCLUSIVE, object)
    moved = (np.abs(change) >= (margin if reached is None else reached)) & significant
    found[moved & (change > 0) & (low > 0)] = SLOWER
    found[moved & (change < 0) & (high < 0)] = FASTER
    found[(low > -margin) & (high < margin)] = SAME
    return [str(verdict) for verdict in found]
