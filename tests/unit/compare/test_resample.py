# SPDX-License-Identifier: GPL-2.0-or-later
"""Resampling against what is known of it."""

from __future__ import annotations

from itertools import combinations, product
from statistics import NormalDist

import numpy as np
import pytest

from tracer.compare import resample
from tracer.compare.resample import Floats

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


def test_the_ends_of_the_interval_are_the_expanded_percentiles() -> None:
    """Against every way to draw four runs of four, and Student's t from a table."""
    base, new = runs(1, 4, 40), runs(2, 4, 40)
    drawn = np.array(list(product(range(4), repeat=4)))
    means = [side[drawn].mean(axis=1) for side in (base, new)]
    changes = (means[1][:, None] - means[0][None]).reshape(-1, 40)
    tail = NormalDist().cdf(-3.1824 * np.sqrt(4 / 3))
    low, high = np.quantile(changes, [tail, 1 - tail], axis=0)
    found = resample.bootstrap_interval(base, new, 0.95, 40_000, np.random.default_rng(1))
    assert found[0] - low == pytest.approx(0, abs=0.25)
    assert found[1] - high == pytest.approx(0, abs=0.25)
    assert (found[0] - low).mean() == pytest.approx(0, abs=0.02)
    assert (found[1] - high).mean() == pytest.approx(0, abs=0.02)


def test_two_runs_have_an_interval_over_all_they_could_have_given() -> None:
    low, high = interval(np.array([[0.0], [10]]), np.zeros((5, 1)))
    assert (low, high) == (-10, 0)


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


def statistic(first: Floats, second: Floats, margin: Floats) -> Floats:
    """That of :func:`tracer.compare.resample.permutation_test`, in the words of its description."""
    both = np.concatenate([first, second])
    middle = np.median(both, axis=0)
    reach = 5 * np.median(np.abs(both - middle), axis=0) + 2 * margin
    change = resample.level(second) - resample.level(first)
    first, second = (np.clip(side, middle - reach, middle + reach) for side in (first, second))
    error = np.sqrt(
        first.var(axis=0, ddof=1) / len(first) + second.var(axis=0, ddof=1) / len(second)
    )
    t = np.abs(second.mean(axis=0) - first.mean(axis=0)) / (error + 0.1 * margin)
    found: Floats = np.where(np.abs(change) >= margin, t, 0)
    return found


def test_p_is_that_of_every_division_counted_line_by_line() -> None:
    base, new = runs(1, 5, 4), runs(2, 6, 4)
    new += [1.3, 1.2, 1.0, 1.1]
    new[2, 1] = 500
    margin = np.array([0.5, 0.1, 0.2, 0.1])
    both, everyone = np.concatenate([base, new]), set(range(11))
    chance = np.array(
        [
            statistic(both[list(rows)], both[sorted(everyone - set(rows))], margin)
            for rows in combinations(range(11), 5)
        ]
    )
    observed = statistic(base, new, margin)
    expected, least = np.zeros(4), 0.0
    for line in np.argsort(-observed):
        rivals = chance[:, observed <= observed[line]].max(axis=1)
        least = max(least, float((rivals >= observed[line] * (1 - 1e-9)).mean()))
        expected[line] = least
    tested = resample.permutation_test(base, new, margin, 0.05, 5000, np.random.default_rng(1))
    assert tested.statistic == pytest.approx(observed)
    assert tested.p == pytest.approx(expected)
    assert len(set(expected)) == 4
    exceeded = (chance.max(axis=1) > tested.critical).mean()
    assert 0.04 < exceeded <= 0.05


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
