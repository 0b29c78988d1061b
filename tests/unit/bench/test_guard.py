# SPDX-License-Identifier: GPL-2.0-or-later
"""The guard: which rises it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench_builder import result

from bench.guard import LEVELS, Figure, learn, read_guard, rises, write_guard
from bench.result import ATTACHED, CALLS, TRACED

BOOTS = [result(attached=400, traced=traced) for traced in (800, 812, 803)]


def test_figures_are_medians_with_the_spread_of_all_rounds() -> None:
    guard = learn(BOOTS)
    assert (guard.kernel, guard.boots, len(guard.figures)) == ("6.1.0-9-amd64", 3, 8)
    assert guard.figures[2:4] == [
        Figure(TRACED, "setsockopt", 803, 14),
        Figure(ATTACHED, "setsockopt", 400, 1),
    ]


def test_a_netlink_round_trip_may_be_on_either_of_its_levels() -> None:
    """Also if all boots that were looked at were on the same."""
    guard = learn(BOOTS)
    assert guard.figures[:2] == [
        Figure(TRACED, "netlink", 803, LEVELS["netlink"]),
        Figure(ATTACHED, "netlink", 400, LEVELS["netlink"]),
    ]
    high = [line.partition(":")[0] for line in rises(result(attached=400, traced=1085), guard)]
    assert "tracer, traced, netlink" not in high
    higher = [line.partition(":")[0] for line in rises(result(attached=400, traced=1086), guard)]
    assert "tracer, traced, netlink" in higher


def test_boots_of_two_kernels_are_refused() -> None:
    with pytest.raises(SystemExit, match="of 2 kernels"):
        learn([result(), replace(result(), kernel="6.12")])


def test_the_boots_that_it_learned_from_pass() -> None:
    assert [list(rises(boot, learn(BOOTS))) for boot in BOOTS] == [[], [], []]


def test_a_rise_above_the_spread_is_named_with_its_side_and_call() -> None:
    told = list(rises(result(attached=400, traced=818), learn(BOOTS)))
    assert len(told) == len(CALLS) - len(LEVELS)
    assert told[0] == (
        "tracer, traced, setsockopt: adds 818 instructions, +15 to 803 (spread 14 in 3 boots)"
    )
    told = list(rises(result(attached=402, traced=800), learn(BOOTS)))
    assert [line.split(":")[0] for line in told] == [
        f"tracer, attached, {call}" for call in CALLS[1:]
    ]


def test_what_became_cheaper_is_no_rise() -> None:
    assert list(rises(result(attached=1, traced=1), learn(BOOTS))) == []


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    write_guard(learn(BOOTS), tmp_path / "guard.json")
    assert read_guard(tmp_path / "guard.json") == learn(BOOTS)
