# SPDX-License-Identifier: GPL-2.0-or-later
"""Resampling against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

from tracer import resample
from tracer.resample import Floats

MARGIN = np.array([1.0])


def runs(seed: int, count: int, lines: int = 1, middle: float = 100.0, sd: float = 1.0) -> Floats:
    return np.random.default_rng(seed).normal(middle, sd, (count, lines))


def interval(base: Floats, new: Floats, seed: int = 1) -> tuple[Floats, Floats]:
    return resample.bootstrap_interval(base, new, 0.95, 2000, np.random.default_rng(seed))


def test_the_level_leaves_out_a_fifth_at_either_end() -> None:
    assert resample.level(np.array([[1.0], [2], [3], [4], [1000]])) == 3
    assert resample.level(np.array([[1.0], [2], [3], [6]])) == 3
    assert resample.level(np.array([[7.0]])) == 7


def test_the_interval_covers_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(300):
        low, high = interval(runs(seed, 8), runs(1000 + seed, 8), seed)
        covered += bool((low < 0) & (high > 0))
    assert 0.92 <= covered / 300 <= 0.99


def test_the_interval_shrinks_with_the_root_of_the_runs() -> None:
    widths = [np.ptp(interval(runs(1, n, 50), runs(2, n, 50)), axis=0).mean() for n in (10, 40)]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_a_single_run_has_no_interval() -> None:
    low, high = interval(runs(1, 1), runs(2, 5))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_every_division_is_taken_once_when_they_are_few() -> None:
    found = resample._divisions(2, 3, 100, np.random.default_rng(1))
    assert found.shape == (10, 2)
    assert found[0].tolist() == [0, 1]
    assert len({tuple(row) for row in found.tolist()}) == 10
    others = resample._others(found, 5)
    assert all(sorted([*a, *b]) == [0, 1, 2, 3, 4] for a, b in zip(found, others, strict=True))


def test_many_divisions_are_drawn_and_the_true_one_is_first() -> None:
    found = resample._divisions(10, 10, 500, np.random.default_rng(1))
    assert found.shape == (500, 10)
    assert found[0].tolist() == list(range(10))
    assert all(len(set(row)) == 10 for row in found.tolist())


def test_the_smallest_p_is_the_one_that_a_clear_change_gets() -> None:
    assert resample.smallest_p(5, 5) == pytest.approx(2 / 252)
    assert resample.smallest_p(3, 10) == pytest.approx(1 / 286)
    for sides in ((5, 5), (3, 10)):
        tested = resample.permutation_test(
            runs(1, sides[0]), runs(2, sides[1], middle=200), MARGIN, 0.01, 5000,
            np.random.default_rng(1),
        )  # fmt: skip
        assert tested.p[0] == pytest.approx(resample.smallest_p(*sides))
        assert tested.critical <= tested.statistic[0]


def test_what_moved_less_than_the_margin_has_no_p_to_speak_of() -> None:
    tested = resample.permutation_test(
        runs(1, 10, sd=0.01), runs(2, 10, middle=100.5, sd=0.01), MARGIN, 0.01, 999,
        np.random.default_rng(1),
    )  # fmt: skip
    assert tested.statistic.tolist() == [0]
    assert tested.p.tolist() == [1]


def test_one_false_alarm_among_many_lines_is_as_rare_as_allowed() -> None:
    lines, trials = 30, 300
    margin = np.full(lines, 0.1)
    alarms = 0
    for seed in range(trials):
        tested = resample.permutation_test(
            runs(seed, 8, lines), runs(1000 + seed, 8, lines), margin, 0.05, 200,
            np.random.default_rng(seed),
        )  # fmt: skip
        alarms += bool((tested.p <= 0.05).any())
    assert alarms / trials <= 0.08


def test_p_is_adjusted_step_by_step() -> None:
    base, new = runs(1, 10, 20), runs(2, 10, 20)
    new[:, 0] += 50
    new[:, 1] += 2.5
    tested = resample.permutation_test(
        base, new, np.full(20, 0.1), 0.01, 4999, np.random.default_rng(1)
    )
    order = np.argsort(-tested.statistic)
    assert order[:2].tolist() == [0, 1]
    assert (np.diff(tested.p[order]) >= 0).all()
    assert tested.p[0] < 0.001
    assert tested.p[1] < 0.05


def test_a_line_without_any_spread_has_a_finite_statistic() -> None:
    same = np.full((6, 1), 100.0)
    tested = resample.permutation_test(same, same + 5, MARGIN, 0.01, 5000, np.random.default_rng(1))
    assert np.isfinite(tested.statistic).all()
    assert tested.p[0] == pytest.approx(resample.smallest_p(6, 6))


def test_one_outlying_run_does_not_hide_a_clear_change() -> None:
    new = runs(2, 10, middle=110)
    new[3] = 100_000
    tested = resample.permutation_test(
        runs(1, 10), new, MARGIN, 0.01, 5000, np.random.default_rng(1)
    )
    assert tested.p[0] <= 0.01


def test_blocks_cover_every_line_once() -> None:
    found = resample._blocks(10, resample._BLOCK // 3)
    assert [(b.start, b.stop) for b in found] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert resample._blocks(2, 10 * resample._BLOCK) == [slice(0, 1), slice(1, 2)]
