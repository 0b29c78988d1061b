# SPDX-License-Identifier: GPL-2.0-or-later
"""Which orders of recording count as in turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from comparison_builder import in_order, made

from tracer.compare.digest import Digest
from tracer.compare.order import started_at, unmixed

RUN = replace(made(1000, 900, 1100, deterministic=False), name="runs/a")


def said(order: str) -> str:
    """What there is to say against sides that were recorded in this order."""
    return unmixed(*in_order([RUN] * order.count("A"), [RUN] * order.count("B"), order))


@pytest.mark.parametrize(
    "order",
    [
        "AB" * 5, "BA" * 10, "ABBA" * 5, "AABB" * 5, "ABAB", "ABBA", "ABABAB",
        "ABBABAABBA", "BABAABABBAABABABBABA", "AABABBABBA", "ABBB" * 3 + "B", "AAABBB" * 3 + "AB",
    ],
)  # fmt: skip
def test_sides_in_turn_and_mixed_at_random(order: str) -> None:
    assert said(order) == ""


@pytest.mark.parametrize(
    "order",
    [
        "AB", "BA", "AABB", "AAAAABBBBB", "BBBBBAAAAA", "A" * 20 + "B" * 20,
        # One run that overlaps, at either end or in the middle.
        "AAAABABBBB", "A" * 9 + "BA" + "B" * 9, "BAAAAABBBB", "AAABABBB", "AABABB",
        # Two blocks a side, and one side around the other.
        "A" * 5 + "B" * 10 + "A" * 5, ("A" * 5 + "B" * 5) * 2, ("A" * 10 + "B" * 10) * 2,
        # In turn in the middle only.
        "AAAA" + "BA" * 6 + "BBBB", "A" * 8 + "BA" * 12 + "B" * 8,
    ],
)  # fmt: skip
def test_sides_in_blocks(order: str) -> None:
    assert said(order).startswith("the sides were not recorded in turn")


def test_the_place_where_they_are_furthest_apart_is_named() -> None:
    assert "(at one time 6 of 6 runs of base and 0 of 6 of new)" in said("AAAAAABBBBBB")
    assert "(at one time 1 of 4 runs of base and 4 of 4 of new)" in said("BABBBAAA")


def test_which_side_is_base_does_not_matter() -> None:
    for order in ("AAAABABBBB", "AABABBABBA", "AAB", "ABBBA"):
        assert bool(said(order)) == bool(said(order.translate(str.maketrans("AB", "BA"))))


@pytest.mark.parametrize("started", ["", "?", "yesterday", "2026-13-01T00:00:00+00:00"])
def test_a_run_that_does_not_say_when_is_not_in_turn(started: str) -> None:
    base, new = in_order([RUN] * 5, [RUN] * 5, "AB" * 5)
    nobody = replace(new[2], started=started, name="runs/b")
    told = unmixed(base, [*new[:2], nobody, *new[3:]])
    assert told.startswith("when runs/b was recorded is not known")


def test_runs_that_began_at_one_moment_show_no_order() -> None:
    """A recording of an earlier tracer knows the second only."""
    at_once = [replace(RUN, started="2026-11-21T01:00:00+00:00")] * 5
    assert unmixed(at_once, at_once)
    base, new = in_order([RUN] * 5, [RUN] * 5, "AB" * 5)
    paired = [replace(run, started=other.started) for run, other in zip(new, base, strict=True)]
    assert unmixed(base, paired) == ""


def test_the_time_counts_not_its_text() -> None:
    run: Digest = replace(RUN, started="2026-11-21T02:00:30+01:00")
    times = [f"2026-11-21T01:0{m}:00" for m in range(3)]
    base = [replace(run, started=times[0]), replace(run, started=times[1] + "+00:00")]
    new = [run, replace(run, started=times[1] + ".250")]
    assert unmixed(base, new) == ""
    assert started_at("2026-11-21T02:00:30+01:00") == datetime(2026, 11, 21, 1, 0, 30, tzinfo=UTC)
    assert started_at("2026-11-21T01:00:30") == datetime(2026, 11, 21, 1, 0, 30, tzinfo=UTC)
    assert started_at("noon") is None
