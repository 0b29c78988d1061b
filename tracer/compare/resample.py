# SPDX-License-Identifier: GPL-2.0-or-later
"""Resampling of whole runs: an interval for a change, and a test over many lines at once.

The replicate is the run: the thousands of exchanges in one run share its boot, its memory
layout and its neighbours, and say nothing about the next run (Kalibera & Jones, "Rigorous
Benchmarking in Reasonable Time", ISMM 2013). Every function takes one row per run and one
column per line, and resamples rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

#: Share of the runs left out at either end: one disturbed run in five decides nothing.
TRIM = 0.2
#: Share of the margin added to every standard error, so that a line without any spread
#: has a finite statistic (the "fudge factor" of Tusher, Tibshirani & Chu 2001).
_FLOOR = 0.1
#: Values further from the median of all runs than so many median deviations are clipped.
_REACH = 5.0
#: Numbers that a block of resamples may hold at a time: 32 MB of them.
_BLOCK = 1 << 22


def level(values: Floats) -> Floats:
    """The 20 % trimmed mean over runs (the last axis but one): with fewer than 5 runs the mean."""
    cut = int(values.shape[-2] * TRIM)
    if cut:
        values = np.sort(values, axis=-2)[..., cut : values.shape[-2] - cut, :]
    mean: Floats = values.mean(axis=-2)
    return mean


def bootstrap_interval(
    base: Floats, new: Floats, confidence: float, resamples: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Low and high end of an interval for ``level(new) - level(base)``, by line.

    The percentile interval of a bootstrap over runs, each side by itself. Because that is too
    narrow for few runs, its percentiles are moved outward as much as Student's t is wider than
    the normal (the "expanded percentile interval" of Hesterberg, "What Teachers Should Know
    About the Bootstrap", The American Statistician 69(4), 2015). NaN with a single run.
    """
    # Late: figures import this module for what needs no scipy, which takes long to import.
    from scipy.special import ndtr, stdtrit

    runs = min(len(base), len(new))
    lines = base.shape[1]
    if runs < 2:
        return np.full(lines, np.nan), np.full(lines, np.nan)
    picks = [random.integers(0, len(side), (resamples, len(side))) for side in (base, new)]
    tail = ndtr(np.sqrt(runs / (runs - 1)) * stdtrit(runs - 1, (1 - confidence) / 2))
    low, high = np.empty(lines), np.empty(lines)
    for part in _blocks(lines, resamples * max(len(base), len(new))):
        change = level(new[:, part][picks[1]]) - level(base[:, part][picks[0]])
        low[part], high[part] = np.quantile(change, [tail, 1 - tail], axis=0)
    return low, high


@dataclass(frozen=True)
class Tested:
    """A test of many lines at once.

    ``p`` is adjusted for all lines; ``statistic`` is what it judges; ``critical`` the value
    of the statistic that the largest of all lines exceeds by chance as often as allowed.
    """

    p: Floats
    statistic: Floats
    critical: float


def permutation_test(
    base: Floats,
    new: Floats,
    margin: Floats,
    allowed: float,
    resamples: int,
    random: np.random.Generator,
) -> Tested:
    """Could the lines that moved by ``margin`` (ns, by line) or more have done so by chance?

    If both sides are alike, any division of all runs in two was equally likely. The statistic
    of a line is Welch's t, its change over its standard error, on values of which outliers
    are clipped; it is 0 where the level moved by less than the margin. The p is
    adjusted by the step-down maxT of Westfall & Young ("Resampling-Based Multiple Testing",
    1993): like Holm's (1979) it bounds the chance of even one false alarm among all lines,
    whatever depends on what. It is used instead because the lines of one run hang together
    (a total is the sum of its stages), for which Holm pays in full, and because Holm needs
    each single p to be as fine as ``allowed`` over the number of lines, which five or ten
    runs a side cannot give.
    """
    runs = np.concatenate([base, new])
    first = _divisions(len(base), len(new), resamples, random)
    second = _others(first, len(runs))
    lines = runs.shape[1]
    statistic = np.empty((len(first), lines))
    for part in _blocks(lines, runs.size // lines * len(first)):
        change = level(runs[:, part][second]) - level(runs[:, part][first])
        clipped = _clipped(runs[:, part], margin[part])
        t = np.abs(_welch(clipped[first], clipped[second], _FLOOR * margin[part]))
        statistic[:, part] = np.where(np.abs(change) >= margin[part], t, 0)
    observed = statistic[0]
    order = np.argsort(-observed, kind="stable")
    # Column k: the largest chance statistic among the lines that are not more extreme than k.
    chance = np.maximum.accumulate(statistic[:, order[::-1]], axis=1)[:, ::-1]
    share = (chance >= observed[order] * (1 - 1e-9)).mean(axis=0)
    p = np.empty(lines)
    p[order] = np.maximum.accumulate(share)
    critical = float(np.quantile(chance[:, 0], 1 - allowed, method="inverted_cdf"))
    return Tested(p, observed, critical)


def _clipped(runs: Floats, margin: Floats) -> Floats:
    """Values without outliers, whichever side they are on.

    Trimming each side by itself would not do here: it hides that runs were exchanged, and so
    takes away what the test lives on.
    """
    middle = np.median(runs, axis=0)
    reach = _REACH * np.median(np.abs(runs - middle), axis=0) + 2 * margin
    clipped: Floats = np.clip(runs, middle - reach, middle + reach)
    return clipped


def _welch(left: Floats, right: Floats, floor: Floats) -> Floats:
    """Welch's t of resamples x runs x lines."""
    error = np.sqrt(
        left.var(axis=-2, ddof=1) / left.shape[-2] + right.var(axis=-2, ddof=1) / right.shape[-2]
    )
    t: Floats = (right.mean(axis=-2) - left.mean(axis=-2)) / (error + floor)
    return t


def smallest_p(base_runs: int, new_runs: int) -> float:
    """The smallest p that exchanging runs between the sides can give.

    With sides of equal size each division of the runs has a mirror image.
    """
    return (2 if base_runs == new_runs else 1) / comb(base_runs + new_runs, base_runs)


def _divisions(base: int, new: int, resamples: int, random: np.random.Generator) -> Rows:
    """Rows that form the base side: the true division first, then all others, or some of them."""
    runs = base + new
    if comb(runs, base) <= resamples:
        return np.array(list(combinations(range(runs), base)), np.intp)
    shuffled = np.argsort(random.random((resamples, runs)), axis=1)[:, :base]
    return np.concatenate([np.arange(base)[None], shuffled[1:]]).astype(np.intp)


def _others(chosen: Rows, runs: int) -> Rows:
    """The rows that each division leaves to the other side."""
    left = np.ones((len(chosen), runs), np.bool_)
    np.put_along_axis(left, chosen, False, axis=1)
    return np.nonzero(left)[1].reshape(len(chosen), -1)


def _blocks(lines: int, each: int) -> list[slice]:
    width = max(1, _BLOCK // each)
    return [slice(first, min(first + width, lines)) for first in range(0, lines, width)]
