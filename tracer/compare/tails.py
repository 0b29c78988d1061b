# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts on tails (p90, p99) on the deterministic clock, by counting slow exchanges.

The interval of a p99 lies between two of the values. With a few hundred exchanges the upper one
is the slowest of all, so the interval says little. Therefore exchanges are counted. One side's
exchange is *slow* if it took longer than the quantile of the other side plus the margin (or plus
what the quantile may differ from boot to boot, if that is more). If there are slow ones, there
are three explanations:

- *Interrupts.* On this clock it is known how often a stage is disturbed, and for how long at most
  (:func:`tracer.compare.repeatability.disturbed`). So exchanges are counted twice: those that are
  slow at all, and those that are slow by more than a disturbance takes, of which there should be
  next to none. Whether disturbances explain a number is a binomial test.
- *Chance.* Both sides may be alike and have a slow exchange now and then. Whether so many of all
  slow ones fall to this side by chance is Fisher's exact test (R. A. Fisher, "The Design of
  Experiments", 1935, section 11). It assumes nothing about the distribution of the times, and the
  sides may be of unequal size.
- *A change.*

The verdict is ``slower`` if disturbances explain the number with a probability of one in a million
at most, and chance with that of an allowed false alarm at most. It is ``faster`` if base is
slower than new by this rule, unless new has slow exchanges that are not explained. It is ``same``
if, in both directions, disturbances explain the slow ones well, or chance does and the quantile
did not move. Anything else is ``inconclusive``, with a reason. The runs of a side are counted
together.
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
"""The counts behind a verdict: the time beyond which an exchange is slow, and how many are."""
#: Disturbances do not explain a number that they cause with this probability or less; they
#: explain one that they cause with at least this probability.
_NEVER, _WELL = 1e-6, 1e-3
#: If chance divides the slow exchanges like this with at least this probability, it explains them.
_LIKELY = 0.1
_FEW = "more than interrupts explain, too few to prove a change: record more exchanges"


@dataclass(frozen=True)
class _Side:
    """One side of a line: the level of its quantile (ns), and the tail table of each run."""

    level: float
    tables: Sequence[survival.Table]

    @property
    def count(self) -> int:
        return sum(table[-1][1] for table in self.tables)

    def beyond(self, ns: float) -> int:
        return sum(survival.beyond(table, ns) for table in self.tables)


@dataclass(frozen=True)
class _Found:
    """Whether one side is slower than the other; if that is open, ``why`` says the reason.

    ``from_ns`` is the time beyond which an exchange was counted as slow.
    """

    from_ns: float
    slower: bool = False
    why: str = ""


def judge(
    lines: pd.DataFrame, base: Sequence[Digest], new: Sequence[Digest], false_alarms: float
) -> pd.DataFrame:
    """The columns verdict, why ("" if settled) and :data:`COLUMNS` for lines of p90 and p99.

    ``lines`` has the columns of ``Comparison.lines`` up to margin_ns; the result has its index.
    """
    rows = [_judged(line, base, new, false_alarms) for line in lines.itertuples()]
    found = pd.DataFrame(rows, index=lines.index, columns=["verdict", "why", *COLUMNS])
    few = found["why"] == _FEW
    found.loc[few, "why"] = [f"{counted(line)}: {_FEW}" for line in found[few].itertuples()]
    return found


def counted(line: Any) -> str:
    """The counts of a line of ``Comparison.lines`` as text, "" if nothing was counted."""
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
    """Whether the side ``here`` has too many exchanges slower than the quantile of ``there``."""
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
    """The probabilities with which disturbances, and chance, make so many slow ones or more.

    An exchange is slow if it took longer than ``from_ns``; ``share`` of them is disturbed.
    """
    # Late, as in resample. Not scipy.stats: it takes longer to import than all else here.
    from scipy.special import bdtrc

    slow, count = here.beyond(from_ns), here.count
    if not slow:
        return 1.0, 1.0
    of_all = slow + there.beyond(from_ns)
    return float(bdtrc(slow - 1, count, share)), _by_chance(slow, of_all, count, there.count)


def _by_chance(slow: int, of_all: int, here: int, there: int) -> float:
    """The probability that of all slow exchanges so many or more fall to this side by chance.

    It is the upper tail of the hypergeometric distribution. ``here`` and ``there`` are the
    numbers of exchanges of the two sides.
    """
    from scipy.special import gammaln

    def ways(of: Any, chosen: Any) -> Any:
        """The logarithm of the binomial coefficient."""
        return gammaln(of + 1) - gammaln(chosen + 1) - gammaln(of - chosen + 1)

    fallen = np.arange(slow, min(of_all, here) + 1)
    # The others of the slow ones lie on the other side, which must have room for them.
    fallen = fallen[of_all - fallen <= there]
    each = ways(here, fallen) + ways(there, of_all - fallen) - ways(here + there, of_all)
    return min(1.0, float(np.exp(each).sum()))
