# SPDX-License-Identifier: GPL-2.0-or-later
"""The joins that all correlation is made of, against loops in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.correlate.columns import NONE, latest, rank, take

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("left", "right"), [(30, 30), (1, 9), (0, 5), (5, 0), (0, 0)])
def test_latest(seed: int, left: int, right: int) -> None:
    rng = np.random.default_rng(seed)
    left_key, left_time = rng.integers(0, 4, left), rng.integers(0, 20, left)
    right_key, right_time = rng.integers(0, 4, right), rng.integers(0, 20, right)
    expected = []
    for key, time in zip(left_key, left_time, strict=True):
        before = [i for i in range(right) if right_key[i] == key and right_time[i] <= time]
        expected.append(max(before, key=lambda i: (right_time[i], i), default=NONE))
    assert latest(left_key, left_time, right_key, right_time).tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [0, 1, 40])
def test_rank(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 3, count), rng.integers(0, 3, count)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    expected = [pairs[:i].count(pair) for i, pair in enumerate(pairs)]
    assert rank(first, second).tolist() == expected
    assert rank(first).tolist() == [first[:i].tolist().count(v) for i, v in enumerate(first)]


def test_take_of_none() -> None:
    assert take(np.arange(3) * 7, np.array([2, NONE, 0])).tolist() == [14, NONE, 0]
    assert take(np.zeros(0, np.int64), np.array([NONE])).tolist() == [NONE]
