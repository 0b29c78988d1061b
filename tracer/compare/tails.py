# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts on tails, on the deterministic clock: how many exchanges are slow, on either side.

The interval of a p99 lies between two order statistics, and with a few hundred exchanges one of
them is the slowest of all: it says little. So beyond p90 and p99 exchanges are counted. *Slow*
is one that takes longer than the quantile of the side it is compared with, by the margin (or by
what the quantile may differ from boot to boot, if that is more). Where nearly all take the same
time, a few slow ones are much. There are three explanations for them:

- *Interrupts*: on that clock it is known how often a stage is disturbed, and for how long at most
  (:func:`tracer.compare.repeatability.disturbed`). So exchanges are counted twice: those that are
  slower at all, and those that are so by more than a disturbance takes, of which there are next to
  none. Whether disturbances explain the number is a binomial test.
- *Chance*, where both sides are alike and have slow ones now and then: did so many of all of them
  fall to this side? That is Fisher's exact test (R. A. Fisher, "The Design of Experiments", 1935,
  section 11), which asks nothing of the times' distribution and takes sides of unequal size.
- *A change*: ``slower`` where disturbances explain the number in one of a million cases at most,
  and chance as rarely as a false alarm is allowed. ``faster``: the same with sides exchanged,
  unless new has slow ones that are open.

``same``: whichever side is compared with the other, disturbances explain its slow ones well, or
chance does and the quantile did not move. All else is ``inconclusive``, with a reason. The runs of
a side are counted together.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracer.compare import repeatability, survival
from tracer.compare.digest import Digest
from tracer.compare.verdicts import FASTER, INCONCLUSIVE, SAME, SLOWER

COLUMNS = ["slow_from_ns", "base_slow", "base_count", "new_slow", "new_count"]
"""What a verdict rests on: how many are slow, from when on, of how many."""
#: Disturbances do not explain what they cause so rarely; they do explain what they cause so often.
_NEVER, _WELL = 1e-6, 1e-3
#: As likely a division of the slow ones is no sign of a change.
_LIKELY = 0.1
_FEW = "more than interrupts explain, too few to prove a change: record more exchanges"


@dataclass(frozen=True)
class _Side:
    """One side of a line: the level of its quantile in ns, and its runs' tables."""

    level: float
    tables: Sequence[survival.Table]

    @property
    def count(self) -> int:
        return sum(table[-1][1] for table in self.tables)

    def beyond(self, ns: float) -> int:
        return sum(survival.beyond(table, ns) for table in self.tables)


@dataclass(frozen=True)
class _Found:
    """What comparing one side with another came to: whether it is slower, or why that is open."""

    from_ns: float
    slower: bool = False
    why: str = ""


def judge(
    lines: pd.DataFrame, base: Sequence[Digest], new: Sequence[Digest], false_alarms: float
) -> pd.DataFrame:
    """Verdict, why ("" where it is settled) and :data:`COLUMNS` of lines beyond the median.

    ``lines`` has the columns of ``Comparison.lines`` up to margin_ns; the result has its index.
    """
    rows = [_judged(line, base, new, false_alarms) for line in lines.itertuples()]
    found = pd.DataFrame(rows, index=lines.index, columns=["verdict", "why", *COLUMNS])
    few = found["why"] == _FEW
    found.loc[few, "why"] = [f"{counted(line)}: {_FEW}" for line in found[few].itertuples()]
    return found


def counted(line: Any) -> str:
    """What was counted on a line of ``Comparison.lines``, "" where nothing was."""
    if pd.isna(line.slow_from_ns):
        return ""
    return (
        f"{line.new_slow:,} of {line.new_count:,} slower than {line.slow_from_ns:,} ns, "
        f"base {line.base_slow:,} of {line.base_count:,}"
    )


def _judged(
    line: Any, base: Sequence[Digest], new: Sequence[Digest], false_alarms: float
) -> tuple[Hashable, ...]:
    key = (line.channel, line.name, line.stage)
    before = _Side(line.base_ns, [run.tails[key] for run in base])
    after = _Side(line.new_ns, [run.tails[key] for run in new])
    rise = _compared(line, before, after, false_alarms)
    fall = _compared(line, after, before, false_alarms)
    if rise.slower:
        verdict, shown = SLOWER, rise
    elif fall.slower and rise.why != _FEW:
        verdict, shown = FASTER, fall
    elif rise.why or fall.why:
        verdict, shown = INCONCLUSIVE, rise if rise.why else fall
    else:
        verdict, shown = SAME, rise
    counts = [(side.beyond(shown.from_ns), side.count) for side in (before, after)]
    return verdict, shown.why, int(shown.from_ns), *counts[0], *counts[1]


def _compared(line: Any, there: _Side, here: _Side, false_alarms: float) -> _Found:
    """Whether ``here`` is slower than ``there``, beyond the quantile of that."""
    stage, margin = [line.stage], line.margin_ns
    repeats = float(repeatability.bounds(stage, [line.quantile], np.array([there.level]))[0])
    usual = float(np.mean([survival.middle(table) for table in there.tables]))
    shares = repeatability.disturbed(line.stage, usual)
    slow = there.level + max(margin, repeats)
    far = slow + repeatability.DISTURBANCE_NS
    for from_ns, share in zip((slow, far), shares, strict=True):
        interrupts, chance = _explained(there, here, from_ns, share)
        if interrupts <= _NEVER and chance <= false_alarms:
            return _Found(from_ns, slower=True)
    if repeats >= margin:
        why = f"it repeats to {repeats:,.0f} ns from boot to boot, the margin is {margin:,.0f}"
        return _Found(slow, why=why)
    for from_ns, share in zip((there.level + margin - repeats, far), shares, strict=True):
        interrupts, chance = _explained(there, here, from_ns, share)
        if interrupts < _WELL and (chance < _LIKELY or here.level > from_ns):
            return _Found(from_ns, why=_FEW)
    return _Found(slow)


def _explained(there: _Side, here: _Side, from_ns: float, share: float) -> tuple[float, float]:
    """How often disturbances, and how often chance, make so many slow ones ``here`` or more.

    ``share`` of the exchanges is disturbed.
    """
    # It takes as long to import as all the rest, and only comparisons on this clock need it.
    from scipy.stats import binom, hypergeom

    slow, count = here.beyond(from_ns), here.count
    if not slow:
        return 1.0, 1.0
    of_all = slow + there.beyond(from_ns)
    return (
        float(binom.sf(slow - 1, count, share)),
        float(hypergeom.sf(slow - 1, count + there.count, of_all, count)),
    )
