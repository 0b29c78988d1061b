# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of a distribution, and what it answers."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.compare.survival import beyond, middle, require_sound, table


def test_every_value_of_a_few_and_how_many_took_at_least_that() -> None:
    found = table(np.array([5, 7, 5, 9, 5]))
    assert found == ((9, 1), (7, 2), (5, 5))
    assert [beyond(found, ns) for ns in (4, 5, 6.5, 7, 9, 10)] == [5, 2, 2, 1, 0, 0]
    assert middle(found) == 5


def test_numbers_are_exact_where_few_values_occur() -> None:
    found = table(np.repeat([100, 105, 900], [4000, 970, 30]))
    assert found == ((900, 30), (105, 1000), (100, 5000))


def test_the_slowest_are_exact_and_the_rest_is_known_to_a_sixth() -> None:
    values = np.arange(100_000)
    found = table(values)
    assert len(found) < 70
    assert [beyond(found, 100_000 - count) for count in range(1, 17)] == list(range(16))
    for count in (20, 99, 1234, 40_000):
        told = beyond(found, 100_000 - 1 - count)
        assert count / 1.2 - 1 <= told <= count
    assert found[-1] == (0, 100_000)
    assert middle(found) == pytest.approx(50_000, rel=0.2)


def test_no_value_no_table() -> None:
    assert table(np.array([], np.int64)) == ()


@pytest.mark.parametrize(
    "damaged", [((5, 1), (5, 2)), ((5, 2), (4, 2)), ((5, 0),), ((-1, 1),), ((5, 1), (6, 2))]
)
def test_damage_is_seen(damaged: tuple[tuple[int, int], ...]) -> None:
    require_sound(((6, 1), (5, 2), (0, 3)))
    with pytest.raises(ValueError, match="values do not fall while their numbers rise"):
        require_sound(damaged)
