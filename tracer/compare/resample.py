# SPDX-License-Identifier: GPL-2.0-or-later
"""Resampling of whole runs: an interval for a change, and a test over many lines at once.

The run is the replicate, the unit that is repeated independently. The thousands of exchanges
in one run share its boot, its memory layout and what else the machine did, so they say
nothing about how much the next run may differ (Kalibera & Jones, "Rigorous Benchmarking in
Reasonable Time", ISMM 2013). Every function takes arrays with one row per run and one column
per line, and resamples rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

#: The share of the runs that is left out at either end. So of five runs, one that was disturbed
#: does not count.
TRIM = 0.2
#: This share of the margin is added to every standard error, so that the statistic of a line
#: without any spread is finite (the "fudge factor" of Tusher, Tibshirani & Chu 2001).
_FLOOR = 0.1
#: Values are clipped if they are further from the median of all runs than so many times the
#: median absolute deviation.
_REACH = 5.0
#: How many numbers a block of resamples may hold at a time (32 MiB).
_BLOCK = 1 << 22


def level(values: Floats) -> Floats:
    """The level: the 20 % trimmed mean over runs (the last axis but one).

    With fewer than 5 runs nothing is trimmed, and it is the mean.
    """
    cut = int(values.shape[-2] * TRIM)
    if cut:
        values = np.sort(values, axis=-2)[..., cut : values.shape[-2] - cut, :]
    mean: Floats = values.mean(axis=-2)
    return mean


def bootstrap_interval(
    base: Floats, new: Floats, confidence: float, resamples: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Low and high end of an interval for ``level(new) - level(base)``, by line.

    It is the percentile interval of a bootstrap over runs, in which each side is resampled by
    itself. With few runs that is too narrow. So the percentiles are moved outward by as much as
    Student's t distribution is wider than the normal one (the "expanded percentile interval" of
    Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician
    69(4), 2015). With a single run on a side both ends are NaN.
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

    ``p`` is adjusted for all lines, ``statistic`` the value of each line from which it was
    computed. ``critical`` is the value that the largest statistic of all lines exceeds by
    chance with the allowed probability.
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

    If both sides are alike, any division of all runs into two groups of these sizes was equally
    likely. So the true division is compared with all others, or with ``resamples`` random ones.
    The statistic of a line is the absolute value of Welch's t, its change divided by its
    standard error, with outliers clipped; it is 0 if the level moved by less than the margin.

    The p is adjusted by the step-down maxT method of Westfall & Young ("Resampling-Based Multiple
    Testing", 1993). Like Holm's method (1979) it bounds the probability of even one false alarm
    among all lines, however they depend on each other. Two reasons speak against Holm's. The
    lines of a run do depend on each other (a total is the sum of its stages), and Holm's gains
    nothing from that. And it needs single p values as small as ``allowed`` divided by the
    number of lines, which 5 or 10 runs a side cannot give.
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
    # Row r, column k: the largest statistic of division r among the k-th line (in the order of the
    # observed statistics, largest first) and all lines after it.
    chance = np.maximum.accumulate(statistic[:, order[::-1]], axis=1)[:, ::-1]
    share = (chance >= observed[order] * (1 - 1e-9)).mean(axis=0)
    p = np.empty(lines)
    p[order] = np.maximum.accumulate(share)
    critical = float(np.quantile(chance[:, 0], 1 - allowed, method="inverted_cdf"))
    return Tested(p, observed, critical)


def _clipped(runs: Floats, margin: Floats) -> Floats:
    """The values with outliers clipped, seen from the median of all runs of both sides.

    Each side must not be trimmed by itself here. The test works by exchanging runs between the
    sides; an exchanged run would be an outlier of its new side and be trimmed away.
    """
    middle = np.median(runs, axis=0)
    reach = _REACH * np.median(np.abs(runs - middle), axis=0) + 2 * margin
    clipped: Floats = np.clip(runs, middle - reach, middle + reach)
    return clipped


def _welch(left: Floats, right: Floats, floor: Floats) -> Floats:
    """Welch's t of each resample and line, for arrays of resamples x runs x lines.

    ``floor`` (ns, by line) is added to the standard errors.
    """
    error = np.sqrt(
        left.var(axis=-2, ddof=1) / left.shape[-2] + right.var(axis=-2, ddof=1) / right.shape[-2]
    )
    t: Floats = (right.mean(axis=-2) - left.mean(axis=-2)) / (error + floor)
    return t


def smallest_p(base_runs: int, new_runs: int) -> float:
    """The smallest p that the permutation test can give with so many runs.

    It is 1 / the number of divisions. With sides of equal size it is twice that, because each
    division has a mirror image with the same statistic.
    """
    return (2 if base_runs == new_runs else 1) / comb(base_runs + new_runs, base_runs)


def _divisions(base: int, new: int, resamples: int, random: np.random.Generator) -> Rows:
    """For each division the rows that form the base side.

    The true division comes first, then all others, or random ones if there are too many.
    """
    runs = base + new
    if comb(runs, base) <= resamples:
        return np.array(list(combinations(range(runs), base)), np.intp)
    shuffled = np.argsort(random.random((resamples, runs)), axis=1)[:, :base]
    return np.concatenate([np.arange(base)[None], shuffled[1:]]).astype(np.intp)


def _others(chosen: Rows, runs: int) -> Rows:
    """For each division the rows that form the new side: those that are not ``chosen``."""
    left = np.ones((len(chosen), runs), np.bool_)
    np.put_along_axis(left, chosen, False, axis=1)
    return np.nonzero(left)[1].reshape(len(chosen), -1)


def _blocks(lines: int, each: int) -> list[slice]:
    width = max(1, _BLOCK // each)
    return [slice(first, min(first + width, lines)) for first in range(0, lines, width)]
