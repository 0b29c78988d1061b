# SPDX-License-Identifier: GPL-2.0-or-later
"""Correlation against the reference matcher, row for row, on random streams of records.

``python tests/rates/reference.py 100000`` compares as many streams as one likes.
"""

from __future__ import annotations

import pytest
from channels import KERNEL_TURN, Actions, play
from compared import MOST, correlated, differences, matched, moves_a_peek, random_stream
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from streams import KINDS

_ACTION = st.tuples(st.integers(0, KERNEL_TURN - 1), st.integers(0, MOST - 1))
#: Short streams are what a failure is reduced to; long ones are where threads meet.
_ACTIONS = st.one_of(
    st.lists(_ACTION, max_size=40),
    st.lists(_ACTION, min_size=50, max_size=150),
    st.lists(_ACTION, min_size=150, max_size=300),
)
_DROPPED = st.lists(st.integers(0, 150), max_size=5)
_SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)


def agree(actions: Actions, dropped: list[int], first: int, last: int) -> None:
    stream = play(actions, dropped, first, last)
    assume(not moves_a_peek(stream))
    told = differences(matched(stream), correlated(stream))
    assert not told, "\n".join([*told, str(stream.rows), str(stream.sends)])


@settings(_SETTINGS, max_examples=150)
@example([], [], 0, 0)
@given(_ACTIONS, st.just([]), st.just(0), st.just(0))
def test_whole_streams(actions: Actions, dropped: list[int], first: int, last: int) -> None:
    agree(actions, dropped, first, last)


@settings(_SETTINGS, max_examples=150)
@given(_ACTIONS, _DROPPED, st.integers(0, 30), st.integers(0, 30))
def test_streams_with_records_lost_and_ends_cut_off(
    actions: Actions, dropped: list[int], first: int, last: int
) -> None:
    agree(actions, dropped, first, last)


@pytest.mark.parametrize("seed", range(40))
def test_long_streams(seed: int) -> None:
    stream = random_stream(seed)
    assert moves_a_peek(stream) or not differences(matched(stream), correlated(stream))


def test_the_streams_have_everything() -> None:
    """Every kind of record and every way in which an exchange may end occurs."""
    streams = [random_stream(seed) for seed in range(150)]
    rows = [row for stream in streams for row in matched(stream)]
    for column, count in (("channel", 5), ("status", 7), ("match", 5), ("level", 3)):
        assert len({row[column] for row in rows}) == count
    records = [record for stream in streams for kind in KINDS for record in stream.rows[kind]]
    assert {record["point"] for record in records} == {*range(1, 11)}
    assert max(row["replies"] for row in rows) > 3
