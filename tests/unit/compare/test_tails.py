# SPDX-License-Identifier: GPL-2.0-or-later
"""Slow exchanges are counted where the clock is deterministic: what is found, and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_builder import META, STAGES, Times, digested, record, times
from scipy.stats import hypergeom

import tracer
from tracer.compare import tails
from tracer.compare.comparison import (
    FASTER,
    INCONCLUSIVE,
    SAME,
    SLOWER,
    Comparison,
    Options,
    compare,
    compare_digests,
)
from tracer.compare.conditions import WORKLOAD
from tracer.compare.repeatability import DISTURBANCE_NS, TICK_NS
from tracer.compare.tails import counted

ASKED = Options(stages=("handler", "reply", "copy"))
MS = 1_000_000
#: The handler's usual time in ns, and the margin.
USUAL, MARGIN = 5000, 100


def echoes(count: int = 400, slow: int = 0, by: int = MS, stage: str = "handler") -> Times:
    """Echoes without any spread, the first of which are slower."""
    made = times(np.random.default_rng(1), count, spread=0)
    made[:slow, STAGES.index(stage)] += by
    return made


def compared(base: Times, new: Times, options: Options = ASKED) -> Comparison:
    return compare_digests([digested(base)], [digested(new)], options)


def tail(found: Comparison, stage: str = "handler", quantile: str = "p99") -> Any:
    """The line of this stage and quantile."""
    lines = found.lines
    return next(lines[(lines["stage"] == stage) & (lines["quantile"] == quantile)].itertuples())


def test_eight_slow_ones_of_400_are_slower(tmp_path: Path) -> None:
    clock = {"clock": META["clock"] | {"deterministic": True}}
    base, new = (
        tracer.load(record(tmp_path / str(slow), echoes(slow=slow, by=MS), **clock))
        for slow in (0, 8)
    )
    found = compare([base], [new], ASKED)
    assert found.verdict == SLOWER
    assert tail(found).new_ns == USUAL + MS
    assert counted(tail(found)) == "8 of 400 slower than 55,100 ns, base 0 of 400"
    assert tail(found, "reply").verdict == tail(found, "copy").verdict == SAME
    assert compare([new], [base], ASKED).verdict == FASTER
    assert counted(tail(compare([new], [base], ASKED), quantile="p90")) == (
        "0 of 400 slower than 55,100 ns, base 8 of 400"
    )


@pytest.mark.parametrize(
    ("slow", "others", "here", "there"),
    [(1, 0, 1, 1), (7, 0, 400, 400), (20, 3, 5000, 307), (2, 40, 53, 4001), (13, 0, 13, 1009),
     (307, 101, 307, 101), (900, 950, 5000, 5003)],
)  # fmt: skip
def test_chance_is_the_hypergeometric_distribution(
    slow: int, others: int, here: int, there: int
) -> None:
    expected = hypergeom.sf(slow - 1, here + there, slow + others, here)
    assert tails._by_chance(slow, slow + others, here, there) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("count", [400, 1000, 5000])
def test_up_to_three_are_no_change_from_seven_on_they_are_one(count: int) -> None:
    verdicts = [compared(echoes(count), echoes(count, slow)).verdict for slow in range(9)]
    assert verdicts == [SAME] * 4 + [INCONCLUSIVE] * 3 + [SLOWER] * 2


def test_an_open_tail_keeps_the_whole_from_being_the_same_and_says_why() -> None:
    found = compared(echoes(), echoes(slow=5))
    assert found.verdict == INCONCLUSIVE
    assert tail(found).decides
    assert tail(found).why.startswith("5 of 400 slower than 55,100 ns, base 0 of 400: more than ")
    assert set(found.lines[found.lines["verdict"] != INCONCLUSIVE]["why"]) == {""}
    assert found.more_runs is None


def test_p90_decides_where_there_is_no_p99() -> None:
    found = compared(echoes(200), echoes(200, slow=9))
    assert set(found.lines["quantile"]) == {"p50", "p90"}
    assert found.verdict == SLOWER


def test_what_interrupts_explain_is_no_change() -> None:
    """The stage of 5 µs is interrupted every 800th time, and each time by less than 50 µs."""
    count = 5000
    expected = round(count * USUAL / TICK_NS)
    assert compared(echoes(count), echoes(count, 2 * expected, by=2500)).verdict == SAME
    assert compared(echoes(count), echoes(count, 6 * expected, by=2500)).verdict == SLOWER
    # So many that an interrupt cannot have slowed so much are a change.
    assert compared(echoes(count), echoes(count, 2 * expected, by=MS)).verdict == SLOWER
    assert compared(echoes(count), echoes(count, 7, by=DISTURBANCE_NS)).verdict == SAME


def test_a_longer_stage_is_interrupted_more_often() -> None:
    long = echoes()
    long[:, STAGES.index("handler")] += 50_000
    hit = long.copy()
    hit[:6, STAGES.index("handler")] += 2500
    assert compared(long, hit).verdict == SAME
    # 6 of 400 are more than interrupts do in a stage of 1.5 µs.
    assert compared(echoes(), echoes(slow=6, by=2500, stage="reply")).verdict == INCONCLUSIVE


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    # Of 400: a base with slow ones of its own allows for as many, and for chance.
    [(8, 8, SAME), (8, 4, INCONCLUSIVE), (30, 33, SAME), (2, 8, INCONCLUSIVE), (2, 13, SLOWER),
     (30, 60, SLOWER), (60, 30, FASTER), (13, 2, FASTER)],
)  # fmt: skip
def test_a_base_that_has_slow_ones_itself(base: int, new: int, verdict: str) -> None:
    assert compared(echoes(slow=base), echoes(slow=new)).verdict == verdict


def test_slow_ones_that_became_slower() -> None:
    found = compared(echoes(slow=20, by=MS), echoes(slow=20, by=2 * MS))
    assert found.verdict == SLOWER
    assert tail(found, quantile="p90").verdict == SAME
    assert counted(tail(found)).startswith("20 of 400 slower than 1,0")


def test_fewer_slow_ones_that_are_slower_are_no_improvement() -> None:
    found = compared(echoes(slow=30, by=MS), echoes(slow=4, by=5 * MS))
    assert tail(found, quantile="p90").verdict == FASTER
    assert tail(found).verdict == found.verdict == INCONCLUSIVE
    assert tail(found).why.startswith("4 of 400 slower than 1,0")


@pytest.mark.parametrize(("ns", "verdict"), [(0, SAME), (80, SAME), (85, SAME), (104, SLOWER)])
def test_a_shift_of_all_below_the_margin_is_no_tail(ns: int, verdict: str) -> None:
    random = np.random.default_rng(3)
    base, new = echoes(stage="reply"), echoes(slow=400, by=ns, stage="reply")
    for side in (base, new):
        side += random.integers(0, 5, side.shape)
    found = compared(base, new)
    assert {tail(found, "reply", quantile).verdict for quantile in ("p90", "p99")} <= {
        SAME, SLOWER if ns > MARGIN else SAME,
    }  # fmt: skip
    assert found.verdict == verdict


def test_sides_of_unequal_size() -> None:
    asked = replace(ASKED, allow=frozenset({WORKLOAD}))
    # Seven of 400 would be many, but the base is too short to show seven of 5,000.
    assert compared(echoes(400), echoes(5000, 7), asked).verdict == SAME
    assert compared(echoes(400), echoes(5000, 40), asked).verdict == INCONCLUSIVE
    assert compared(echoes(400), echoes(5000, 80), asked).verdict == SLOWER
    assert compared(echoes(5000), echoes(400, 7), asked).verdict == SLOWER
    assert compared(echoes(5000, 80), echoes(400, 6), asked).verdict == SAME
    found = tail(compared(echoes(400), echoes(1000, 20), asked))
    assert counted(found) == "20 of 1,000 slower than 5,100 ns, base 0 of 400"


def test_the_runs_of_a_side_are_counted_together() -> None:
    base = [digested(echoes()) for _ in range(3)]
    new = [digested(echoes(slow=slow)) for slow in (3, 2, 4)]
    found = compare_digests(base, new, ASKED)
    assert (
        counted(tail(found, quantile="p90")) == "9 of 1,200 slower than 55,100 ns, base 0 of 1,200"
    )
    assert found.verdict == SLOWER
    assert compare_digests(base, base, ASKED).verdict == SAME


@pytest.mark.parametrize(("by", "verdict"), [(30_000, INCONCLUSIVE), (MS, INCONCLUSIVE)])
def test_tails_of_user_code_are_never_the_same_within_a_small_margin(by: int, verdict: str) -> None:
    asked = Options(stages=("decode",))
    found = compared(echoes(), echoes(slow=8, by=by, stage="decode"), asked)
    assert found.verdict == verdict
    assert "from boot to boot, the margin is 100" in tail(found, "decode").why


def test_tails_of_user_code_with_a_margin_that_they_repeat_to() -> None:
    asked = Options(stages=("decode",), min_effect=0.5)
    assert compared(echoes(), echoes(slow=3, stage="decode"), asked).verdict == SAME
    assert compared(echoes(), echoes(slow=60, stage="decode"), asked).verdict == SLOWER


def test_they_do_not_decide_unless_they_are_asked_for() -> None:
    found = compared(echoes(), echoes(slow=8, stage="decode"), Options())
    assert tail(found, "decode").verdict == INCONCLUSIVE
    assert found.verdict == SAME


def test_on_a_wall_clock_nothing_is_counted() -> None:
    base, new = (
        [digested(echoes(slow=slow), deterministic=False, name=str(n)) for n in range(6)]
        for slow in (0, 8)
    )
    found = compare_digests(base, new, ASKED)
    assert found.lines["slow_from_ns"].isna().all()
    assert {counted(line) for line in found.lines.itertuples()} == {""}


# --------------------------------------------------------------------------
# How often it is wrong


def disturbed(random: np.random.Generator, count: int) -> Times:
    """Echoes that the timer interrupts as it does on that clock, some of them for longer."""
    made = echoes(count)
    hit = random.random(made.shape) < made / TICK_NS
    made[hit] += random.choice([2500, 2600, 5000, 25_000], int(hit.sum()), p=[0.6, 0.2, 0.15, 0.05])
    return made


@pytest.mark.parametrize("count", [307, 5000])
def test_like_runs_that_are_interrupted_are_the_same(count: int) -> None:
    random = np.random.default_rng(count)
    runs = [digested(disturbed(random, count)) for _ in range(15)]
    found = pd.Series(
        [
            compare_digests([base], [new]).verdict
            for number, base in enumerate(runs)
            for new in runs[number + 1 :]
        ]
    )
    assert found.value_counts().to_dict() == {SAME: 105}


def test_seven_slow_ones_are_found_among_interrupts() -> None:
    random = np.random.default_rng(7)
    for count in (400, 1000, 5000):
        for _ in range(10):
            base, new = disturbed(random, count), disturbed(random, count)
            new[random.choice(count, 7, replace=False), STAGES.index("handler")] += MS
            assert compared(base, new).verdict == SLOWER
