# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts on a wall clock: which are found, which are refused, and how often they are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from comparison_builder import FEW, in_order, line, made
from run_builder import STAGES, digests

from tracer.compare.comparison import (
    FASTER,
    INCONCLUSIVE,
    SAME,
    SLOWER,
    Options,
    compare_digests,
)
from tracer.compare.conditions import ORDER
from tracer.compare.digest import KEY, VALUES, Digest
from tracer.compare.resample import Floats
from tracer.compare.wall_clock import MOST_RUNS, more_runs, needed_runs, too_few

ANY_ORDER = frozenset({ORDER})


def test_noise_is_inconclusive_and_tells_what_would_settle_it() -> None:
    how = {"run_spread": 0.1, "count": 29}  # medians only
    found = compare_digests(digests(10, 1, **how), digests(10, 2, **how))
    assert (found.verdict, found.exit_status) == (INCONCLUSIVE, 3)
    total = line(found, "total")
    assert total["decides"]
    reach = max(abs(total["low_ns"]), abs(total["high_ns"]))
    assert total["same_within_ns"] == reach
    assert total["why"] == (
        f"the runs differ: its change may be as large as {reach:,.0f} ns, "
        f"the margin is {total['margin_ns']:,.0f}"
    )
    assert found.same_within == pytest.approx(reach / total["base_ns"], abs=0.001)
    settled = found.lines[found.lines["verdict"] != INCONCLUSIVE]
    assert settled["same_within_ns"].isna().all()
    assert set(settled["why"]) <= {""}


@pytest.mark.parametrize("spread", [0.03, 0.1])
@pytest.mark.parametrize("stages", [(), ("handler", "copy")])
def test_the_margin_that_is_told_settles_it_and_a_smaller_one_does_not(
    spread: float, stages: tuple[str, ...]
) -> None:
    base, new = digests(10, 1, run_spread=spread), digests(10, 2, run_spread=spread)
    how = replace(FEW, stages=stages)
    found = compare_digests(base, new, how)
    assert found.verdict == INCONCLUSIVE
    assert found.same_within is not None
    assert found.same_within > 0.02
    assert compare_digests(base, new, replace(how, min_effect=found.same_within)).verdict == SAME
    less = compare_digests(base, new, replace(how, min_effect=found.same_within - 0.0011))
    assert less.verdict == INCONCLUSIVE


def test_what_is_settled_has_no_margin_to_tell() -> None:
    for how in ({}, {"add": {"copy": 900}}):
        base, new = digests(10, 1, run_spread=0.005), digests(10, 2, run_spread=0.005, **how)
        found = compare_digests(base, new)
        assert found.verdict != INCONCLUSIVE
        assert (found.same_within, found.more_runs) == (None, None)


def test_of_a_base_of_nothing_no_share_is_told() -> None:
    wall = {"deterministic": False}
    values = (0, 300, 0, 300, 0)
    base, new = in_order(
        [made(0, 0, 0, **wall)] * 5, [made(v, v, v, **wall) for v in values], "ABABABABAB"
    )
    found = compare_digests(base, new, Options(stages=("handler",)))
    assert found.verdict == INCONCLUSIVE
    assert line(found, "handler")["same_within_ns"] > 100
    assert found.same_within is None


def test_the_estimate_of_more_runs_holds() -> None:
    base, new = digests(8, 3, run_spread=0.03), digests(8, 4, run_spread=0.03)
    found = compare_digests(base, new)
    assert found.verdict == INCONCLUSIVE
    assert found.more_runs is not None
    more = 2 * found.more_runs  # the estimate rests on eight runs
    base, new = digests(8 + more, 3, run_spread=0.03), digests(8 + more, 4, run_spread=0.03)
    assert compare_digests(base, new, FEW).verdict == SAME


def test_no_number_of_runs_is_told_that_nobody_records() -> None:
    base, new = digests(10, 1, run_spread=0.3), digests(10, 2, run_spread=0.3)
    found = compare_digests(base, new)
    assert found.verdict == INCONCLUSIVE
    assert found.more_runs is None
    assert found.same_within is not None
    assert (found.lines["more_runs"].dropna() <= MOST_RUNS).all()


def test_more_runs_prove_a_change_and_keep_its_interval_from_0() -> None:
    same = np.full(4, 200.0)
    found = more_runs(
        4, same, same - 800, same + 50, same / 2, np.array([5.0, 0.1, np.inf, np.nan])
    )
    # The interval reaches four times as far as the change is large.
    assert found == pytest.approx([4 * 25 - 4, 4 * 16 - 4, np.nan, 4 * 16 - 4], nan_ok=True)


# --------------------------------------------------------------------------
# Few runs


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_few_runs_are_inconclusive(runs: int) -> None:
    base = digests(runs, 1, run_spread=0.001)
    new = digests(runs, 2, run_spread=0.001, shift={"handler": 1.2})
    found = compare_digests(base, new)
    assert set(found.lines["verdict"]) == {INCONCLUSIVE}
    assert found.lines["p"].isna().all()
    # Whatever the margin, so few runs would not be the same within it.
    assert found.same_within is None
    count = "1 run" if runs == 1 else f"{runs} runs"
    assert found.too_few == f"{count} a side cannot tell a change from chance, 5 a side can"
    # A single run a side was not recorded in turn either.
    assert bool(found.unmixed) == (runs == 1)
    assert found.more_runs == (5 - runs if runs > 1 else None)


def test_five_runs_are_enough_for_one_percent() -> None:
    assert needed_runs(0.01) == 5
    assert too_few(5, 5, 0.01) == too_few(3, 7, 0.01) == ""
    assert too_few(2, 6, 0.01).startswith("2 and 6 runs cannot")
    base = digests(5, 1, run_spread=0.001)
    new = digests(5, 2, run_spread=0.001, shift={"handler": 1.2})
    assert line(compare_digests(base, new), "handler")["verdict"] == SLOWER


@pytest.mark.parametrize(
    ("runs", "verdict", "more"), [((3, 10), SLOWER, 0), ((2, 20), INCONCLUSIVE, 3)]
)
def test_three_runs_are_the_least_however_many_the_other_side_has(
    runs: tuple[int, int], verdict: str, more: int
) -> None:
    base = digests(runs[0], 1, run_spread=0.001)
    new = digests(runs[1], 2, run_spread=0.001, shift={"handler": 1.2})
    for sides in ((base, new), (new, base)):
        found = line(compare_digests(*sides, Options(allow=ANY_ORDER)), "handler")
        assert (found["verdict"] == INCONCLUSIVE) == (verdict == INCONCLUSIVE)
        assert pd.isna(found["p"]) == (verdict == INCONCLUSIVE)
        assert found["more_runs"] == more if more else pd.isna(found["more_runs"])


def test_two_runs_a_side_are_enough_for_what_is_beyond_noise_and_one_is_not() -> None:
    base, new = digests(2, 1), digests(2, 2, add={"handler": 50_000})
    found = compare_digests(base, new)
    assert found.verdict == SLOWER
    assert found.moved["stage"].tolist() == ["handler"]
    assert line(compare_digests(new, base), "handler")["verdict"] == FASTER
    assert compare_digests(new, base).verdict == FASTER
    allowed = Options(allow=ANY_ORDER)
    for sides in ((base[:1], new[:1]), (base, new[:1]), (base[:1], new)):
        assert compare_digests(*sides, allowed).verdict == INCONCLUSIVE


@pytest.mark.parametrize(
    ("fast", "count", "verdict"),
    [(2000, 30, SLOWER), (1999, 30, INCONCLUSIVE), (2000, 29, INCONCLUSIVE)],
)
def test_beyond_noise_is_twice_the_slowest_of_every_run(
    fast: int, count: int, verdict: str
) -> None:
    wall, asked = {"deterministic": False}, Options(stages=("handler",), allow=ANY_ORDER)
    base = [made(800, 800, 800, slow_ns=slow, **wall) for slow in (900, 1000)]
    new = [
        made(3000, 3000, 3000, fast_ns=ns, **wall, count=many)
        for ns, many in ((2500, 50), (fast, count))
    ]
    assert compare_digests(base, new, asked).verdict == verdict
    base = [made(800, 800, 800, slow_ns=900, **wall, count=count), base[1]]
    new = [made(3000, 3000, 3000, fast_ns=ns, **wall) for ns in (2500, fast)]
    back = compare_digests(new, base, asked)
    assert back.verdict == (FASTER if verdict == SLOWER else verdict)


def test_beyond_noise_needs_enough_exchanges() -> None:
    base, new = digests(2, 1, count=23), digests(2, 2, count=23, add={"handler": 50_000})
    assert compare_digests(base, new).verdict == INCONCLUSIVE


# --------------------------------------------------------------------------
# The order of recording

HOW: dict[str, dict[str, Any]] = {
    "slower": {"add": {"handler": 900}},
    "faster": {"add": {"handler": -900}},
    "same": {},
    "gross": {"add": {"handler": 50_000}},
}


@pytest.mark.parametrize("change", HOW)
@pytest.mark.parametrize("runs", [2, 10])
def test_sides_one_after_the_other_settle_nothing_unless_allowed(change: str, runs: int) -> None:
    base = digests(runs, 1, run_spread=0.002)
    new = digests(runs, 2, run_spread=0.002, **HOW[change])
    turn = compare_digests(*in_order(base, new, "AB" * runs))
    block = compare_digests(*in_order(base, new, "A" * runs + "B" * runs))
    assert block.verdict == INCONCLUSIVE
    assert set(block.lines["verdict"]) == {INCONCLUSIVE}
    assert set(block.lines["why"]) == {"the sides were not recorded in turn"}
    assert block.moved.empty
    assert block.unmixed.startswith("the sides were not recorded in turn (at one time ")
    assert (block.same_within, block.more_runs) == (None, None)
    waived = compare_digests(
        *in_order(base, new, "A" * runs + "B" * runs), Options(allow=ANY_ORDER)
    )
    assert waived.verdict == turn.verdict
    assert waived.unmixed == turn.unmixed == ""
    assert f"{block.unmixed}: a drift of the machine counts as change" in waived.notes


def test_one_run_that_overlaps_changes_nothing() -> None:
    base, new = digests(5, 1, run_spread=0.002), digests(5, 2, run_spread=0.002, **HOW["slower"])
    for order in ("AAAABABBBB", "BAAAAABBBB", "AAAAABBBBB"):
        assert compare_digests(*in_order(base, new, order)).verdict == INCONCLUSIVE
    for order in ("ABABABABAB", "ABBABAABAB"):
        assert compare_digests(*in_order(base, new, order)).verdict == SLOWER


def test_without_start_times_nothing_is_settled() -> None:
    base, new = digests(5, 1, run_spread=0.002), digests(5, 2, run_spread=0.002, **HOW["slower"])
    for text in ("", "?"):
        found = compare_digests([*base[:4], replace(base[4], started=text)], new)
        assert found.verdict == INCONCLUSIVE
        assert found.unmixed.startswith("when run-1-4 was recorded is not known")


def test_the_deterministic_clock_asks_for_no_order() -> None:
    base = digests(2, 1, deterministic=True, spread=0.001)
    new = digests(2, 2, deterministic=True, spread=0.001, **HOW["slower"])
    found = compare_digests(*in_order(base, new, "AABB"))
    assert (found.verdict, found.unmixed, found.too_few) == (SLOWER, "", "")
    assert compare_digests([replace(run, started="") for run in base], new).verdict == SLOWER


# --------------------------------------------------------------------------
# How often it is wrong


@cache
def keys_of(count: int) -> pd.MultiIndex:
    """The keys of the lines of so many types."""
    keys = [("netlink", f"echo {number}", "handler", "p50") for number in range(count)]
    return pd.MultiIndex.from_tuples(keys, names=KEY)


def echoes(levels: Floats) -> Digest:
    """A wall-clock run of many types, whose exchanges scatter by a tenth around these levels."""
    values = np.rint(np.outer(levels, [1, 0.98, 1.02, 0.9, 1.1])).astype(np.int64)
    lines = pd.DataFrame(
        np.column_stack([np.full(levels.size, 101), values]),
        columns=VALUES,
        index=keys_of(levels.size),
    )
    return Digest("made", lines, {"kernel": "6.1"})


def alarms(
    trials: int, order: str, noise: Callable[[np.random.Generator], Floats], how: Options
) -> float:
    """How often runs of like code, recorded in this order, are told apart.

    ``noise`` draws what the machine adds to each run in turn, as a share of its level.
    """
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(trials):
        runs = [echoes(np.array([5000 * (1 + share)])) for share in noise(random)]
        sides = [[run for run, of in zip(runs, order, strict=True) if of == side] for side in "AB"]
        found = compare_digests(*in_order(sides[0], sides[1], order), how)
        wrong += found.verdict in (SLOWER, FASTER)
    return wrong / trials


def autocorrelated(random: np.random.Generator) -> Floats:
    """Twenty runs, each 0.9 times as far off as the one before: about 3 % of the level."""
    steps = random.normal(0, 0.03 * np.sqrt(1 - 0.9**2), 20)
    steps[0] = random.normal(0, 0.03)
    found = np.empty(20)
    last = 0.0
    for place, step in enumerate(steps):
        last = found[place] = 0.9 * last + step
    return found + random.normal(0, 0.005, 20)


def drifting(random: np.random.Generator) -> Floats:
    """Twenty runs that take 10 % longer in the end, with 1 % of noise."""
    return np.linspace(0, 0.1, 20) + random.normal(0, 0.01, 20)


@pytest.mark.parametrize(
    ("noise", "wrong"), [(autocorrelated, 0.2), (drifting, 0.9)], ids=["autocorrelated", "drifting"]
)
def test_a_drift_is_no_change(noise: Callable[[np.random.Generator], Floats], wrong: float) -> None:
    """What the order is asked for: waived, a block of runs after another is a change most times."""
    asked = Options(resamples=499, stages=("handler",))
    waived = replace(asked, allow=ANY_ORDER)
    assert alarms(40, "A" * 10 + "B" * 10, noise, waived) >= wrong
    assert alarms(5, "A" * 10 + "B" * 10, noise, asked) == 0
    assert alarms(5, "A" * 9 + "BA" + "B" * 9, noise, asked) == 0
    # The most uneven order that passes, and one run after another.
    assert alarms(50, "AAABBB" * 3 + "AB", noise, asked) <= 0.02
    assert alarms(80, "AB" * 10, noise, asked) <= 0.0125


@pytest.mark.parametrize("runs", [1, 2, 3, 4])
def test_heavy_tails_are_not_beyond_noise(runs: int) -> None:
    """Noise without a mean (Cauchy): one run in 50 takes more than 2.5 times as long.

    While one run a side was enough, 16 of 400 were false; with two it is one of these 400, and
    2 of 4,000.
    """
    random = np.random.default_rng(7)
    made_runs = [
        echoes(5000 * (1 + 0.05 * np.abs(random.standard_cauchy(400)))) for _ in range(2 * runs)
    ]
    sides = in_order(made_runs[:runs], made_runs[runs:], "AB" * runs)
    found = compare_digests(*sides, Options(stages=("handler",), allow=ANY_ORDER))
    false = found.lines["verdict"].isin([SLOWER, FASTER]).sum()
    assert false <= 4, f"{false} false verdicts of 400"


@cache
def pool(seed: int, shift: float, spread: float) -> list[Digest]:
    """A hundred recordings to draw from; run to run every stage varies by ``spread``."""
    moved = dict.fromkeys(STAGES, shift)
    return digests(100, seed, run_spread=spread, shift=moved)


def verdicts(shift: float, trials: int, spread: float) -> Counter[str]:
    """How often ten runs a side, drawn from the pools, are judged as what."""
    random = np.random.default_rng(5)
    base, new = pool(1, 1.0, spread), pool(2, shift, spread) if shift != 1 else pool(1, 1.0, spread)
    found = Counter[str]()
    for _ in range(trials):
        if base is new:
            drawn = random.permutation(100)
            sides = [base[i] for i in drawn[:10]], [base[i] for i in drawn[10:20]]
        else:
            picks = [random.choice(100, 10, replace=False) for _ in range(2)]
            sides = [base[i] for i in picks[0]], [new[i] for i in picks[1]]
        found[compare_digests(*in_order(*sides, "AB" * 10), FEW).verdict] += 1
    return found


@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_false_alarms(spread: float) -> None:
    found = verdicts(1.0, 100, spread)
    assert found[SLOWER] <= 2
    assert found[FASTER] <= 2


def test_detection() -> None:
    assert verdicts(1.1, 100, 0.03)[SLOWER] >= 95
