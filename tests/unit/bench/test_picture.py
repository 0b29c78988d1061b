# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of a result."""

from __future__ import annotations

from bench_builder import result

from bench.picture import picture


def test_every_tool_stands_in_it_with_its_number() -> None:
    drawing = picture(result())
    assert drawing.described == (
        "Instructions added to a netlink echo: "
        "ftrace kprobe events 2,000, tracer, attached 4,000, tracer, traced 8,000"
    )
    text = drawing.svg()
    for shown in ("ftrace kprobe events", "tracer, traced", ">8,000<", "echo of 1,000"):
        assert shown in text


def test_equal_results_give_equal_pictures() -> None:
    assert picture(result()).svg() == picture(result()).svg()


def test_a_tool_that_adds_nothing_can_be_drawn() -> None:
    assert ">-3<" in picture(result(attached=-3)).svg()
