# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts on a wall clock, judged by how much the runs of a side differ from each other.

If the sides were not recorded in turn (:mod:`tracer.compare.order`), no line is settled, unless
that is allowed: when a machine drifts, the runs of a side are like each other and unlike the
other side's, and no test can tell that from a change. With too few runs (below five a side with
the default of ``false_alarms``) only gross changes are settled: see :func:`_beyond_noise`.
"""

from __future__ import annotations

import numpy as np

from tracer.compare import resample
from tracer.compare.resample import Floats
from tracer.compare.verdicts import FASTER, INCONCLUSIVE, SLOWER, Judged, Options, Sides, judged

LEAST_RUNS = 3
#: Nobody records more additional runs than this: then only a larger margin is suggested.
MOST_RUNS = 100
_BEYOND = 2.0
_BEYOND_COUNT = 30
_BEYOND_RUNS = 2
_OUT_OF_TURN = "the sides were not recorded in turn"


def between_runs(
    sides: Sides, change: Floats, margin: Floats, options: Options, in_turn: bool
) -> Judged:
    """Judge the lines by the spread between the runs of each side."""
    base, new = sides.base["value_ns"], sides.new["value_ns"]
    runs = len(base), len(new)
    none = np.full(change.size, np.nan)
    random = np.random.default_rng(options.seed)
    low, high = resample.bootstrap_interval(
        base, new, options.confidence, options.resamples, random
    )
    if not in_turn:
        return _all_open(low, high, _OUT_OF_TURN)
    if few := too_few(*runs, options.false_alarms):
        verdicts = _beyond_noise(sides, change, margin)
        why = [few if verdict == INCONCLUSIVE else "" for verdict in verdicts]
        missing = max(needed_runs(options.false_alarms) - min(runs), 1)
        return Judged(low, high, none, verdicts, why, none, np.full(change.size, float(missing)))
    tested = resample.permutation_test(
        base, new, margin, options.false_alarms, options.resamples, random
    )
    significant = tested.p <= options.false_alarms
    verdicts = judged(change, low, high, margin, significant)
    with np.errstate(divide="ignore", invalid="ignore"):
        prove = tested.critical / tested.statistic
    more = more_runs(min(runs), change, low, high, margin, prove)
    within = np.maximum(np.abs(low), np.abs(high))
    far = "the runs differ: its change may be as large as"
    why = [
        f"{far} {reach:,.0f} ns, the margin is {least:,.0f}" if verdict == INCONCLUSIVE else ""
        for verdict, reach, least in zip(verdicts, within, margin, strict=True)
    ]
    return Judged(low, high, tested.p, verdicts, why, within, more)


def _all_open(low: Floats, high: Floats, why: str) -> Judged:
    """Every line is inconclusive, and neither a larger margin nor more runs would help."""
    none = np.full(low.size, np.nan)
    return Judged(low, high, none, [INCONCLUSIVE] * low.size, [why] * low.size, none, none)


def too_few(base_runs: int, new_runs: int, false_alarms: float) -> str:
    """Why this number of runs cannot tell a change from chance; empty if it can."""
    enough = resample.smallest_p(base_runs, new_runs) <= false_alarms
    if min(base_runs, new_runs) >= LEAST_RUNS and enough:
        return ""
    runs = f"{base_runs} and {new_runs} runs"
    if base_runs == new_runs:
        runs = f"{base_runs} run{'s'[: base_runs != 1]} a side"
    return f"{runs} cannot tell a change from chance, {needed_runs(false_alarms)} a side can"


def _beyond_noise(sides: Sides, change: Floats, margin: Floats) -> list[str]:
    """The verdicts with too few runs for a test: all are inconclusive except gross changes.

    A line is ``slower`` if the p10 of every new run is at least twice the p90 of every base run
    (and the other way round for ``faster``), with 30 exchanges a run and two runs a side at
    least. To imitate that, a disturbance would have to slow down nine of ten exchanges to more
    than twice what nine of ten took before, in every run of one side and in none of the other.
    A single run a side is not enough: if one run in 25 is disturbed that much, one verdict in
    25 would be false. This is a rule and no statistical test, so there is no p.
    """
    base, new = sides.base, sides.new
    many = np.minimum(base["count"].min(axis=0), new["count"].min(axis=0)) >= _BEYOND_COUNT
    several = min(len(base["count"]), len(new["count"])) >= _BEYOND_RUNS
    gross = many & several & (np.abs(change) >= margin)
    found = np.full(change.size, INCONCLUSIVE, object)
    slower = new["fast_ns"].min(axis=0) >= _BEYOND * base["slow_ns"].max(axis=0)
    faster = base["fast_ns"].min(axis=0) >= _BEYOND * new["slow_ns"].max(axis=0)
    found[gross & slower & (change > 0)] = SLOWER
    found[gross & faster & (change < 0)] = FASTER
    return [str(verdict) for verdict in found]


def needed_runs(false_alarms: float) -> int:
    """The fewest runs a side with which a change can be told from chance: 5 for 1 %."""
    runs = LEAST_RUNS
    while resample.smallest_p(runs, runs) > false_alarms:
        runs += 1
    return runs


def more_runs(
    runs: int, change: Floats, low: Floats, high: Floats, margin: Floats, prove: Floats
) -> Floats:
    """How many more runs a side would settle each line, if its change and spread stay as they are.

    Standard errors shrink with the root of the number of runs. A change of at least the margin
    needs its standard error smaller by the factor ``prove``, and an interval that excludes 0. A
    smaller change needs an interval within the margin. NaN if that takes more than
    :data:`MOST_RUNS`.
    """
    size = np.abs(change)
    reach = np.maximum(high - change, change - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(
            size >= margin, np.fmax(prove, reach / size), reach / np.abs(margin - size)
        )
        needed = np.ceil(runs * np.square(factor)) - runs
    more: Floats = np.clip(np.nan_to_num(needed, nan=1, posinf=np.inf), 1, np.inf)
    more[more > MOST_RUNS] = np.nan
    return more
