# SPDX-License-Identifier: GPL-2.0-or-later
"""What a tool added, and the file that keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_builder import once, result, side

from bench.result import ATTACHED, CALLS, TRACED, UNTRACED, Result, read, write
from bench.table import REFERENCE


def test_a_side_counts_with_its_lowest_round() -> None:
    assert side("any", 12, 10, 11).p50("unix") == 10


@pytest.mark.parametrize("call", CALLS)
def test_the_base_is_the_lower_one_of_the_sides_around(call: str) -> None:
    found = result(attached=400, traced=800)
    assert found.added(call) == {ATTACHED: 400, TRACED: 800, REFERENCE: 2_000}
    assert found.rounds_added(call)[TRACED] == [802, 800]
    assert found.untraced(call) == 1_000


def test_a_side_further_away_is_no_base() -> None:
    sides = [side(UNTRACED, 1), side("a", 30), side(UNTRACED, 20), side("b", 50)]
    found = Result("6.1", [*sides, side(UNTRACED, 25)])
    assert found.added("netlink") == {"a": 29, "b": 30}


def test_a_tool_without_an_untraced_side_after_it_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' is not between two untraced sides"):
        Result("6.1", [side(UNTRACED, 1), side("a", 30)]).added("netlink")


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "one.json", result())
    assert read(tmp_path / "runs" / "one.json") == result()


def test_the_file_keeps_every_round(tmp_path: Path) -> None:
    write(tmp_path / "one.json", result())
    assert read(tmp_path / "one.json").sides[0].rounds == [once(1_282), once(1_282)]
