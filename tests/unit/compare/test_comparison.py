# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts, and how often they are wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from comparison_builder import line, made
from run_builder import STAGES, digests

from tracer.compare.comparison import (
    FASTER,
    INCONCLUSIVE,
    SAME,
    SLOWER,
    Options,
    compare_digests,
)
from tracer.compare.digest import Digest


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
    how = {"deterministic": True, "spread": 0.5, "count": 29}  # medians only
    base, new = digests(1, 1, **how), digests(1, 2, **how)
    found = compare_digests(base, new)
    assert found.verdict == INCONCLUSIVE
    assert found.lines["more_runs"].isna().all()
    handler = line(found, "handler")
    assert re.fullmatch(
        r"29 exchanges a run tell its change to [\d,]+ ns only, the margin is 1\d\d",
        handler["why"],
    )
    assert found.same_within is not None
    wider = Options(min_effect=found.same_within)
    assert compare_digests(base, new, wider).verdict == SAME


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
    ("change", "reach", "why"),
    # The margin is 100 ns and the line repeats to 25 ns.
    [
        (50, 75, "101 exchanges a run tell its change to 75 ns only, the margin is 100"),
        (-85, 20, "its change of -85 ns, which repeats to 25, lies too near the margin of 100"),
    ],
)
def test_why_a_line_is_open_on_the_deterministic_clock(change: int, reach: int, why: str) -> None:
    base = made(5000, 5000 - reach, 5000 + reach)
    new = made(5000 + change, 5000 + change, 5000 + change)
    found = compare_digests([base], [new])
    assert (found.verdict, found.more_runs) == (INCONCLUSIVE, None)
    assert line(found, "handler")["why"] == why
    assert line(found, "handler")["same_within_ns"] == abs(change) + reach + 25


def test_a_line_that_repeats_less_well_than_the_margin_says_so() -> None:
    base, new = digests(1, 1, deterministic=True), digests(1, 2, deterministic=True)
    found = line(compare_digests(base, new, Options(stages=("encode",), min_effect_ns=1)), "encode")
    assert re.fullmatch("it repeats to 6\\d ns from boot to boot, the margin is 20", found["why"])


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
