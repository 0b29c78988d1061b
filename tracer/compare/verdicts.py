# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdicts on a line, the options they follow, and the rule that all clocks share."""

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
    ``confidence`` of the intervals of single lines; ``false_alarms``: the chance of even one
    ``slower`` or ``faster`` line between like sides. ``stages`` and ``types`` (channel or
    name) select lines; ``allow`` names conditions that may differ
    (:data:`tracer.compare.conditions.CONDITIONS`). ``same_workload``: on a wall clock, too, every
    run must hold as many exchanges of each type, as it must where instructions are counted.
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
    """Per side the columns of ``Digest.lines``: name -> runs x lines."""

    base: dict[str, Floats]
    new: dict[str, Floats]


@dataclass(frozen=True)
class Judged:
    """What the rules of a clock say of the lines; every field has an entry for each.

    ``low`` and ``high``: the interval of the change in ns. ``p``: adjusted for all lines, NaN
    without a test. ``why``: what keeps an inconclusive line open, empty for a settled one.
    ``same_within``: the margin in ns beyond which an inconclusive line would be ``same``, NaN
    where none would do. ``more_runs``: how many more a side would settle it, NaN where nobody
    would record so many, or they would not help.
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
    """By line; ``reached`` is the change from which on a line may be slower or faster."""
    found = np.full(change.size, INCONCLUSIVE, object)
    moved = (np.abs(change) >= (margin if reached is None else reached)) & significant
    found[moved & (change > 0) & (low > 0)] = SLOWER
    found[moved & (change < 0) & (high < 0)] = FASTER
    found[(low > -margin) & (high < margin)] = SAME
    return [str(verdict) for verdict in found]
