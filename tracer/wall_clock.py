# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts on a wall clock: from how much the runs of a side differ, for the replicate is the run.

Too few runs (below five a side, as allowed here) leave every line inconclusive, but for one
that is beyond noise: :func:`_beyond_noise`.
"""

from __future__ import annotations

import numpy as np

from tracer import resample
from tracer.resample import Floats
from tracer.verdicts import FASTER, INCONCLUSIVE, SLOWER, Options, Sides, judged

LEAST_RUNS = 3
MOST_RUNS = 1_000_000
_BEYOND = 2.0
_BEYOND_COUNT = 30


def between_runs(
    sides: Sides, change: Floats, margin: Floats, options: Options
) -> tuple[Floats, Floats, Floats, Floats, list[str]]:
    """low, high, p, more_runs and verdict by line, from the spread between runs."""
    base, new = sides.base["value_ns"], sides.new["value_ns"]
    runs = len(base), len(new)
    random = np.random.default_rng(options.seed)
    low, high = resample.bootstrap_interval(
        base, new, options.confidence, options.resamples, random
    )
    if min(runs) < LEAST_RUNS or resample.smallest_p(*runs) > options.false_alarms:
        missing = max(needed_runs(options.false_alarms) - min(runs), 1)
        verdicts = _beyond_noise(sides, change, margin)
        return low, high, np.full(change.size, np.nan), np.full(change.size, missing), verdicts
    tested = resample.permutation_test(
        base, new, margin, options.false_alarms, options.resamples, random
    )
    significant = tested.p <= options.false_alarms
    verdicts = judged(change, low, high, margin, significant)
    with np.errstate(divide="ignore", invalid="ignore"):
        prove = tested.critical / tested.statistic
    more = more_runs(min(runs), change, low, high, margin, prove)
    return low, high, tested.p, more, verdicts


def _beyond_noise(sides: Sides, change: Floats, margin: Floats) -> list[str]:
    """With too few runs to know the spread between runs: all inconclusive but the gross.

    A line is ``slower`` when the fastest tenth of the exchanges in every new run takes at
    least twice as long as the slowest tenth in any base run (and the other way round for
    ``faster``), with 30 exchanges a run: a disturbance would have to have slowed nearly every
    exchange to more than twice what nearly none took before. That is a rule, no test; it
    states no p.
    """
    base, new = sides.base, sides.new
    many = np.minimum(base["count"].min(axis=0), new["count"].min(axis=0)) >= _BEYOND_COUNT
    gross = many & (np.abs(change) >= margin)
    found = np.full(change.size, INCONCLUSIVE, object)
    slower = new["fast_ns"].min(axis=0) >= _BEYOND * base["slow_ns"].max(axis=0)
    faster = base["fast_ns"].min(axis=0) >= _BEYOND * new["slow_ns"].max(axis=0)
    found[gross & slower & (change > 0)] = SLOWER
    found[gross & faster & (change < 0)] = FASTER
    return [str(verdict) for verdict in found]


def needed_runs(false_alarms: float) -> int:
    """The fewest runs a side with which chance can be told from change: 5 for 1 %."""
    runs = LEAST_RUNS
    while resample.smallest_p(runs, runs) > false_alarms:
        runs += 1
    return runs


def more_runs(
    runs: int, change: Floats, low: Floats, high: Floats, margin: Floats, prove: Floats
) -> Floats:
    """How many runs more, a side, would settle each line if its change and spread stay.

    Standard errors shrink with the root of the number of runs. A change of the margin or more
    is settled when it is ``prove`` times less uncertain and its interval excludes 0, a smaller
    one when its interval fits within the margin.
    """
    size = np.abs(change)
    reach = np.maximum(high - change, change - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(
            size >= margin, np.fmax(prove, reach / size), reach / np.abs(margin - size)
        )
    needed = np.ceil(runs * np.square(factor)) - runs
    more: Floats = np.clip(np.nan_to_num(needed, nan=1, posinf=MOST_RUNS), 1, MOST_RUNS)
    return more
