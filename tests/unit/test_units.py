# SPDX-License-Identifier: GPL-2.0-or-later
"""Units, ticks and classes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tracer import units


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1.00 µs"),
        (9_994, "9.99 µs"),
        (9_995, "10.0 µs"),
        (52_620, "52.6 µs"),
        (99_949, "99.9 µs"),
        (118_691, "119 µs"),
        (99_960, "100 µs"),
        (999_499, "999 µs"),
        (999_500, "1.00 ms"),
        (19_239_857, "19.2 ms"),
        (1_240_000_000, "1.24 s"),
        (12_345_000_000_000, "12,345 s"),
    ],
)
def test_a_time_has_three_digits(ns: int, text: str) -> None:
    assert units.time_text(ns) == text


@pytest.mark.parametrize(("low", "high"), [(44_000, 19e6), (1, 1e10), (700, 3000), (90, 110)])
def test_a_log_axis_has_a_few_labels(low: float, high: float) -> None:
    limits = units.log_span(low, high)
    major, minor = units.log_ticks(*limits)
    assert limits[0] < low < high < limits[1]
    assert 1 <= len(major) <= 7
    assert len(units.log_ticks(*limits, 4)[0]) <= 4
    assert not set(major) & set(minor)
    assert all(limits[0] <= tick <= limits[1] for tick in major + minor)


@pytest.mark.parametrize(
    ("ns", "unit"),
    [
        (0, ("ns", 1)),
        (1999, ("ns", 1)),
        (2000, ("µs", 1e3)),
        (2e6 - 1, ("µs", 1e3)),
        (2e6, ("ms", 1e6)),
        (2e9, ("s", 1e9)),
        (7.2e12, ("s", 1e9)),
    ],
)
def test_an_axis_has_a_unit_of_which_there_are_two(ns: float, unit: tuple[str, float]) -> None:
    assert units.axis_unit(ns) == unit


def test_a_log_axis_shows_a_little_more_than_the_values() -> None:
    assert units.log_span(1, 10**10) == pytest.approx((10**-0.4, 10**10.4))
    assert units.log_span(100, 100) == pytest.approx((10**1.75, 10**2.25))  # half a decade


def test_the_unlabelled_ticks_are_the_other_steps() -> None:
    major, minor = units.log_ticks(90, 1100)
    assert major == [100, 200, 500, 1000]
    assert minor == [90, 300, 400, 600, 700, 800, 900]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a é µ…", "a é µ…"),
        ("a\tb\n", r"a\tb\n"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, told: str) -> None:
    assert units.printable(text) == told


def test_labels_of_ticks() -> None:
    assert [units.step_text(t) for t in (1, 500, 1e3, 2e4, 1e6, 1e10)] == [
        "1 ns", "500 ns", "1 µs", "20 µs", "1 ms", "10 s",
    ]  # fmt: skip
    assert units.byte_ticks(20, 40_000)[0] == [64, 256, 1024, 4096, 16384]


@pytest.mark.parametrize(
    ("low", "high", "edges"),
    [
        (1, 1, [1, 2]),
        (10, 20, [10, 20, 50]),
        (44_290, 19_239_857, [20_000, 50_000, 100_000, 200_000, 500_000, 10**6, 2 * 10**6,
                              5 * 10**6, 10**7, 2 * 10**7]),
        (999, 1000, [500, 1000, 2000]),
        (1, 10**9, [10**d for d in range(11)]),
        (3, 10**10, [1, 100, 10**4, 10**6, 10**8, 10**10, 10**12]),
    ],
)  # fmt: skip
def test_classes_hold_every_value(low: int, high: int, edges: list[int]) -> None:
    assert units.log_classes(low, high) == edges
    assert edges[0] <= low < edges[1]
    assert edges[-2] <= high < edges[-1]


@pytest.mark.parametrize("most", [1, 2, 3, 10])
def test_there_are_no_more_classes_than_wanted(most: int) -> None:
    for high in (7, 1009, 10**6 - 1, 10**6, 10**15):
        edges = units.log_classes(7, high, most)
        assert 2 <= len(edges) <= most + 1
        assert edges[0] <= 7
        assert high < edges[-1]


@pytest.mark.parametrize(
    ("count", "sign", "told"),
    [
        (1234, "", "1,234"), (0, "+", "0"), (1234, "+", "+1,234"), (-5, "+", "-5"),
        (pd.NA, "", "unknown"), (None, "+", "unknown"),
    ],
)  # fmt: skip
def test_a_count_of_the_ledger(count: Any, sign: str, told: str) -> None:
    assert units.count_text(count, sign) == told
