# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of a result."""

from __future__ import annotations

import pytest
from bench_builder import result, side

from bench.guard import learn
from bench.table import NOTHING, figures, ratio, table, told


def test_a_row_for_each_tool_with_its_ratio_to_the_reference() -> None:
    head, _, untraced, attached, traced, reference = table(result()).splitlines()
    assert head == "| | netlink echo | `setsockopt` | `getsockopt` | `AF_UNIX` | told |"
    assert untraced == "| untraced | 1,000 | 1,000 | 1,000 | 1,000 | |"
    assert attached.startswith("| tracer, attached | +4,000 (2.00) | ")
    assert traced == "| tracer, traced" + " | +8,000 (4.00)" * 4 + " | 100% |"
    assert reference == "| ftrace kprobe events" + " | +2,000 (1.00)" * 4 + " | 75% |"


def test_a_row_for_each_guarded_side() -> None:
    boots = [result(attached=400, traced=traced) for traced in (800, 812, 803)]
    _, _, traced, attached = figures(learn(boots)).splitlines()
    assert traced == "| tracer, traced | +803 (282)" + " | +803 (14)" * 3 + " |"
    assert attached == "| tracer, attached | +400 (282)" + " | +400 (1)" * 3 + " |"


@pytest.mark.parametrize(
    ("added", "reference", "text"),
    [(3_000, 2_000, "1.50"), (0, NOTHING, "0.00"), (3_000, NOTHING - 1, ""), (5, 0, "")],
)
def test_a_ratio_needs_a_reference_that_adds_something(
    added: int, reference: int, text: str
) -> None:
    assert ratio(added, reference) == text


def test_what_has_nothing_to_tell_has_no_share() -> None:
    assert told(side("any", 1)) == ""
    assert told(side("any", 1, told=0, happened=5)) == "0%"
