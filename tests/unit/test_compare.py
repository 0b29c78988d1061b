# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts, and how often they are wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_builder import STAGES, digests

from tracer.compare import (
    FASTER,
    INCONCLUSIVE,
    SAME,
    SLOWER,
    Comparison,
    Options,
    compare_digests,
)
from tracer.digest import KEY, VALUES, Digest
from tracer.wall_clock import MOST_RUNS, more_runs, needed_runs

FEW = Options(resamples=699)


def line(found: Comparison, stage: str, quantile: str = "p50") -> pd.Series[Any]:
    """The line of this stage and quantile."""
    lines = found.lines
    (row,) = lines[(lines["stage"] == stage) & (lines["quantile"] == quantile)].index
    return lines.loc[row]


def test_a_slower_stage_is_named() -> None:
    base, new = digests(10, 1, run_spread=0.02), digests(10, 2, run_spread=0.02, add={"reply": 900})
    found = compare_digests(base, new)
    assert (found.verdict, found.exit_status) == (SLOWER, 1)
    (moved,) = found.moved.itertuples()
    assert (moved.channel, moved.name, moved.stage, moved.verdict) == (
        "netlink", "msgchan echo", "reply", SLOWER,
    )  # fmt: skip
    assert moved.change_ns == pytest.approx(900, rel=0.1)
    reply = line(found, "reply")
    assert reply["low_ns"] < 900 < reply["high_ns"]
    assert reply["p"] <= 0.01
    assert line(found, "copy")["verdict"] == SAME


def test_faster_is_the_mirror_image_of_slower() -> None:
    fast, slow = digests(10, 1, run_spread=0.02), digests(10, 2, run_spread=0.02, add={"copy": 900})
    found = compare_digests(slow, fast)
    assert (found.verdict, found.exit_status) == (FASTER, 0)
    assert found.moved["stage"].tolist() == ["copy"]
    assert line(found, "total")["change_ns"] < -800


def test_slower_wins_over_faster() -> None:
    base = digests(10, 1, run_spread=0.01)
    new = digests(10, 2, run_spread=0.01, add={"handler": 900, "queue": -1800})
    found = compare_digests(base, new)
    assert line(found, "queue")["verdict"] == FASTER
    assert found.verdict == SLOWER
    assert found.moved["stage"].tolist() == ["handler"]


def test_like_sides_are_the_same() -> None:
    found = compare_digests(digests(10, 1, run_spread=0.005), digests(10, 2, run_spread=0.005))
    assert (found.verdict, found.exit_status, found.more_runs) == (SAME, 0, None)
    assert found.moved.empty


def test_a_change_below_the_margin_does_not_matter() -> None:
    base, new = digests(10, 1, run_spread=0.002), digests(10, 2, run_spread=0.002, add={"copy": 60})
    found = line(compare_digests(base, new), "copy")
    assert found["low_ns"] > 0
    assert found["verdict"] == SAME


def test_noise_is_inconclusive_and_tells_what_would_settle_it() -> None:
    base, new = digests(10, 1, run_spread=0.1), digests(10, 2, run_spread=0.1)
    found = compare_digests(base, new)
    assert (found.verdict, found.exit_status) == (INCONCLUSIVE, 3)
    assert found.more_runs is not None
    assert found.more_runs > 10


def test_the_estimate_of_more_runs_holds() -> None:
    base, new = digests(8, 3, run_spread=0.03), digests(8, 4, run_spread=0.03)
    found = compare_digests(base, new)
    assert found.verdict == INCONCLUSIVE
    assert found.more_runs is not None
    more = 2 * found.more_runs  # the estimate rests on eight runs
    base, new = digests(8 + more, 3, run_spread=0.03), digests(8 + more, 4, run_spread=0.03)
    assert compare_digests(base, new, FEW).verdict == SAME


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_few_runs_on_a_wall_clock_are_inconclusive(runs: int) -> None:
    base = digests(runs, 1, run_spread=0.001)
    new = digests(runs, 2, run_spread=0.001, shift={"handler": 1.2})
    found = compare_digests(base, new)
    assert set(found.lines["verdict"]) == {INCONCLUSIVE}
    assert found.more_runs == 5 - runs
    assert found.lines["p"].isna().all()


def test_five_runs_are_enough_for_one_percent() -> None:
    assert needed_runs(0.01) == 5
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
        found = line(compare_digests(*sides), "handler")
        assert (found["verdict"] == INCONCLUSIVE) == (verdict == INCONCLUSIVE)
        assert pd.isna(found["p"]) == (verdict == INCONCLUSIVE)
        assert found["more_runs"] == more if more else pd.isna(found["more_runs"])


def test_one_run_is_enough_for_what_is_beyond_noise() -> None:
    base, new = digests(1, 1), digests(1, 2, add={"handler": 50_000})
    found = compare_digests(base, new)
    assert found.verdict == SLOWER
    assert found.moved["stage"].tolist() == ["handler"]
    assert line(compare_digests(new, base), "handler")["verdict"] == FASTER
    assert compare_digests(new, base).verdict == FASTER


@pytest.mark.parametrize(
    ("fast", "count", "verdict"),
    [(2000, 30, SLOWER), (1999, 30, INCONCLUSIVE), (2000, 29, INCONCLUSIVE)],
)
def test_beyond_noise_is_twice_the_slowest_of_every_run(
    fast: int, count: int, verdict: str
) -> None:
    wall, asked = {"deterministic": False}, Options(stages=("handler",))
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
    base, new = digests(1, 1, count=23), digests(1, 2, count=23, add={"handler": 50_000})
    assert compare_digests(base, new).verdict == INCONCLUSIVE


def test_a_clear_shift_is_significant_however_little_the_runs_vary() -> None:
    for runs in (6, 10):
        base = digests(runs, 1, run_spread=0.0005)
        new = digests(runs, 2, run_spread=0.0005, shift={"handler": 1.3})
        assert line(compare_digests(base, new), "handler")["verdict"] == SLOWER


def test_an_outlying_run_decides_nothing() -> None:
    base, new = digests(10, 1, run_spread=0.005), digests(9, 2, run_spread=0.005)
    disturbed = digests(1, 3, shift=dict.fromkeys(STAGES, 3.0))
    found = compare_digests(base, [*new, *disturbed]).lines
    assert set(found["verdict"]) <= {SAME, INCONCLUSIVE}
    assert (found["change"].fillna(0).abs() < 0.03).all()
    clear = compare_digests(base, [*digests(9, 2, run_spread=0.005, add={"copy": 900}), *disturbed])
    assert line(clear, "copy")["verdict"] == SLOWER


def test_the_same_seed_gives_the_same_numbers() -> None:
    base, new = digests(10, 1, run_spread=0.03), digests(10, 2, run_spread=0.03)
    pd.testing.assert_frame_equal(
        compare_digests(base, new).lines, compare_digests(base, new).lines
    )
    other = compare_digests(base, new, Options(seed=2)).lines
    assert (other["low_ns"] != compare_digests(base, new).lines["low_ns"]).any()


# --------------------------------------------------------------------------
# The deterministic clock


@pytest.mark.parametrize(("ns", "verdict"), [(0, SAME), (60, SAME), (104, SLOWER), (300, SLOWER)])
@pytest.mark.parametrize("stage", ["handler", "reply", "copy"])
def test_one_run_a_side_on_the_deterministic_clock(stage: str, ns: int, verdict: str) -> None:
    how = {"deterministic": True, "spread": 0.0005}
    base, new = digests(1, 1, **how), digests(1, 2, **how, add={stage: ns})
    found = compare_digests(base, new)
    assert found.deterministic
    assert line(found, stage)["verdict"] == verdict
    assert found.verdict == verdict
    assert found.moved["stage"].tolist() == ([stage] if verdict == SLOWER else [])


def test_a_wide_spread_within_the_run_is_inconclusive_there_too() -> None:
    base = digests(1, 1, deterministic=True, spread=0.5)
    new = digests(1, 2, deterministic=True, spread=0.5)
    found = compare_digests(base, new)
    assert found.verdict == INCONCLUSIVE
    more = found.lines[found.lines["decides"]]["more_runs"]
    assert more.min() < more.max() == found.more_runs


@pytest.mark.parametrize(("share", "verdict"), [(0.04, INCONCLUSIVE), (0.09, SLOWER)])
def test_user_code_repeats_less_well_from_boot_to_boot(share: float, verdict: str) -> None:
    how = {"deterministic": True, "spread": 0.0005}
    base = digests(1, 1, **how)
    new = digests(1, 2, **how, shift={"encode": 1 + share, "queue": 1 + share})
    found = compare_digests(base, new, Options(min_effect_ns=1))
    assert line(found, "encode")["verdict"] == verdict
    # The kernel's stages decide where none is asked for, and they did not move.
    assert found.verdict == (SLOWER if verdict == SLOWER else SAME)
    asked = compare_digests(base, new, Options(min_effect_ns=1, stages=("queue",)))
    assert asked.verdict == verdict


@pytest.mark.parametrize(("ns", "verdict"), [(88, SAME), (92, SLOWER)])
def test_nine_tenths_of_the_margin_count_on_the_deterministic_clock(ns: int, verdict: str) -> None:
    base, new = (
        digests(1, 1, deterministic=True, spread=0),
        digests(1, 1, deterministic=True, spread=0, add={"reply": ns}),
    )
    assert line(compare_digests(base, new), "reply")["verdict"] == verdict


def made(value: int, low: int, high: int, **how: Any) -> Digest:
    """A run of one line: the median of the handler, with its interval within the run."""
    row = {"count": 101, "fast_ns": low, "slow_ns": high} | how
    key = ("netlink", "msgchan echo", "handler", "p50")
    row |= dict(zip(KEY, key, strict=True)) | {"value_ns": value, "low_ns": low, "high_ns": high}
    lines = pd.DataFrame([row])[[*KEY, *VALUES]].set_index(KEY)
    return Digest("made", lines, {"kernel": "6.1"}, deterministic=how.get("deterministic", True))


def test_the_runs_intervals_become_that_of_the_change() -> None:
    base = [made(1000, 970, 1060), made(1000, 960, 1080)]
    new = [made(2000, 1940, 2005), made(2000, 1920, 2012)]
    found = line(compare_digests(base, new), "handler")
    assert found["change_ns"] == 1000
    # Each side's distances in squares over two runs; 10 ns are how well it repeats.
    assert found["low_ns"] == pytest.approx(1000 - np.hypot(50, 50) - 10)
    assert found["high_ns"] == pytest.approx(1000 + np.hypot(6.5, 25) + 10)


@pytest.mark.parametrize(("change", "verdict"), [(85, INCONCLUSIVE), (92, SLOWER)])
def test_what_excludes_0_but_is_below_nine_tenths_is_no_change(change: int, verdict: str) -> None:
    base, new = made(5000, 5000, 5000), made(5000 + change, 4960 + change, 5045 + change)
    found = line(compare_digests([base], [new]), "handler")
    assert found["low_ns"] > 0
    assert found["verdict"] == verdict
    back = line(compare_digests([new], [base]), "handler")
    assert back["verdict"] == (FASTER if verdict == SLOWER else INCONCLUSIVE)


@pytest.mark.parametrize(
    ("change", "reach", "more"),
    # The margin is 100 ns and the line repeats to 25 ns: nearer than that nothing helps.
    [(50, 75, 2), (-50, 75, 2), (200, 400, 3), (80, 75, MOST_RUNS), (120, 150, MOST_RUNS)],
)
def test_more_runs_on_the_deterministic_clock(change: int, reach: int, more: int) -> None:
    base = made(5000, 5000 - reach, 5000 + reach)
    new = made(5000 + change, 5000 + change, 5000 + change)
    found = compare_digests([base], [new])
    assert (found.verdict, found.more_runs) == (INCONCLUSIVE, more)
    # The side with the fewer runs counts.
    assert compare_digests([base], [new] * 3).more_runs == more


def test_more_runs_prove_a_change_and_keep_its_interval_from_0() -> None:
    same = np.full(4, 200.0)
    found = more_runs(
        4, same, same - 800, same + 50, same / 2, np.array([5.0, 0.1, np.inf, np.nan])
    )
    # The interval reaches four times as far as the change is large.
    assert found.tolist() == [4 * 25 - 4, 4 * 16 - 4, MOST_RUNS, 4 * 16 - 4]


def staged(**values: int) -> Digest:
    """A run of these medians, by stage, without any spread."""
    parts = [
        made(value, value, value).lines.rename({"handler": stage}, level="stage")
        for stage, value in values.items()
    ]
    return replace(made(1, 1, 1), lines=pd.concat(parts))


@pytest.mark.parametrize(
    ("new", "moved"),
    [
        ({"handler": 5600, "copy": 5200, "reply": 4000, "total": 23_000}, ("handler", 600, 0.2)),
        ({"handler": 5600, "copy": 5200, "reply": 4000, "total": 20_100}, ("handler", 600, None)),
        ({"handler": 4400, "copy": 5000, "reply": 4000, "total": 18_000}, ("reply", -1000, 0.5)),
        ({"handler": 5000, "copy": 5000, "reply": 5000, "total": 23_000}, None),
    ],
)
def test_the_stage_that_moved_most_and_its_share_of_the_total(
    new: dict[str, int], moved: tuple[str, int, float | None] | None
) -> None:
    base = staged(handler=5000, copy=5000, reply=5000, total=20_000)
    found = compare_digests([base], [staged(**new)]).moved
    told = [
        (row.stage, row.change_ns, None if pd.isna(row.share) else row.share)
        for row in found.itertuples()
    ]
    assert told == ([moved] if moved else [])


def test_every_deciding_line_must_be_settled() -> None:
    base = staged(handler=5000, copy=5000, total=20_000)

    def verdict(copy: Digest, **values: int) -> str:
        rest = staged(**values)
        new = replace(rest, lines=pd.concat([rest.lines, copy.lines.rename({"handler": "copy"})]))
        return compare_digests([base], [new]).verdict

    like, wide = made(5000, 5000, 5000), made(5000, 4000, 6000)
    assert verdict(like, handler=5000, total=20_000) == SAME
    assert verdict(wide, handler=5000, total=20_000) == INCONCLUSIVE
    assert verdict(like, handler=4000, total=20_000) == FASTER
    assert verdict(wide, handler=4000, total=20_000) == INCONCLUSIVE
    assert verdict(wide, handler=6000, total=20_000) == SLOWER


def test_where_no_line_decides_nothing_is_settled() -> None:
    run = staged(encode=5000, total=20_000)
    found = compare_digests([run], [run])
    assert (found.verdict, found.more_runs) == (INCONCLUSIVE, None)


def test_a_change_from_nothing_has_no_share() -> None:
    found = line(compare_digests([made(0, 0, 0)], [made(500, 500, 500)]), "handler")
    assert (found["change_ns"], found["margin_ns"], found["verdict"]) == (500, 100, SLOWER)
    assert pd.isna(found["change"])


@pytest.mark.parametrize(("base", "margin"), [(4000, 100), (6000, 120)])
def test_the_margin_is_the_larger_of_2_percent_and_100_ns(base: int, margin: int) -> None:
    run = made(base, base, base)
    assert line(compare_digests([run], [run]), "handler")["margin_ns"] == margin


def test_a_wall_clock_on_one_side_makes_it_a_wall_clock() -> None:
    base, new = digests(1, 1, deterministic=True), digests(1, 2)
    assert not compare_digests(base, new).deterministic


# --------------------------------------------------------------------------
# How often it is wrong


@cache
def pool(seed: int, shift: float, spread: float) -> list[Digest]:
    """A hundred recordings to draw from; run to run every stage varies by ``spread``."""
    moved = dict.fromkeys(STAGES, shift)
    return digests(100, seed, run_spread=spread, shift=moved)


def rate(wanted: str, shift: float, trials: int, spread: float) -> float:
    """How often ten runs a side, drawn from the pools, are judged as ``wanted``."""
    random = np.random.default_rng(5)
    base, new = pool(1, 1.0, spread), pool(2, shift, spread) if shift != 1 else pool(1, 1.0, spread)
    hits = 0
    for _ in range(trials):
        if base is new:
            drawn = random.permutation(100)
            sides = [base[i] for i in drawn[:10]], [base[i] for i in drawn[10:20]]
        else:
            picks = [random.choice(100, 10, replace=False) for _ in range(2)]
            sides = [base[i] for i in picks[0]], [new[i] for i in picks[1]]
        hits += compare_digests(*sides, FEW).verdict == wanted
    return hits / trials


@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_false_alarms_on_a_wall_clock(spread: float) -> None:
    assert rate(SLOWER, 1.0, 100, spread) <= 0.02
    assert rate(FASTER, 1.0, 50, spread) <= 0.02


def test_detection_on_a_wall_clock() -> None:
    assert rate(SLOWER, 1.1, 100, 0.03) >= 0.95


def test_rates_on_the_deterministic_clock() -> None:
    how = {"deterministic": True, "spread": 0.0005, "run_spread": 0.001}
    alike = digests(100, 11, **how)
    slower = [digests(1, 100 + i, **how, add={"handler": 120})[0] for i in range(50)]
    alarms = [compare_digests([a], [b]).verdict for a, b in pairwise(alike)]
    found = [
        line(compare_digests([a], [b]), "handler")["verdict"]
        for a, b in zip(alike, slower, strict=False)
    ]
    assert set(alarms) == {SAME}
    assert set(found) == {SLOWER}


def test_what_is_unexplained_is_compared_where_there_is_some() -> None:
    (base,), (new,) = digests(1, 1), digests(1, 2)
    assert "unexplained" not in set(compare_digests([base], [new]).lines["stage"])
    lines = new.lines.copy()
    lines.loc[lines.index.get_level_values("stage") == "unexplained", "value_ns"] = 500
    found = compare_digests([base], [replace(new, lines=lines)])
    assert line(found, "unexplained")["change_ns"] == 500
