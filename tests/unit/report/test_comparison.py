# SPDX-License-Identifier: GPL-2.0-or-later
"""How a comparison reads."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import run_builder
from rich.console import Console

from tracer.compare.comparison import INCONCLUSIVE, Comparison, Options, compare_digests
from tracer.compare.conditions import WORKLOAD
from tracer.report.comparison import MOST_REASONS, render, summary


def compared(
    runs: int, *, deterministic: bool = False, options: Options | None = None, **how: Any
) -> Comparison:
    """Two sides of so many runs; ``how`` makes the second differ."""
    random = np.random.default_rng(1)
    sides = [
        [
            run_builder.digested(
                run_builder.times(random, 31, **changed),
                name=f"runs/[{side}]{number}",
                deterministic=deterministic,
                started=f"2026-11-21T01:{number:02}:{'ab'.index(side):02}",
            )
            for number in range(runs)
        ]
        for side, changed in (("a", {"run_spread": 0.01}), ("b", {"run_spread": 0.01} | how))
    ]
    return compare_digests(*sides, options)


def printed(
    comparison: Comparison, width: int = 110, terminal: bool = False, full: bool = False
) -> str:
    file = io.StringIO()
    kind: dict[str, Any] = {"force_terminal": True, "color_system": None} if terminal else {}
    render(comparison, Console(file=file, width=width, highlight=False, **kind), full)
    return file.getvalue()


def listed(text: str) -> list[tuple[str, str, str]]:
    """Stage, quantile and verdict of every line of a printed table."""
    found, stage = [], ""
    for line in text.partition("verdict: ")[0].splitlines():
        if row := re.match(r"(\S*) +(p\d\d) .*? (same|slower|faster|inconclusive)", line):
            stage = row[1] or stage
            found.append((stage, row[2], row[3]))
    return found


def test_every_line_and_the_verdict_are_printed() -> None:
    text = printed(compared(10, add={"copy": 900}))
    rows = [row.split() for row in text.splitlines()]
    (copy,) = [row for row in rows if row[:2] == ["copy", "p50"]]
    assert copy[-1] == "slower"
    assert copy[4].startswith("+")
    assert re.fullmatch(r"\+\d+\.\d%", copy[5])
    assert "\n\nnetlink, msgchan echo (ns)\n" in text
    assert ["stage", "of", "base", "new", "change", "%", "interval", "verdict"] in rows
    assert "10 runs: runs/[a]0, runs/[a]1" in text
    assert "matters from  the larger of 2.0% and 100 ns" in text
    assert "false alarms at most 1.0% among all lines" in text
    verdict = text[text.index("verdict: ") :].splitlines()
    assert verdict[0] == "verdict: slower"
    assert verdict[1].startswith("  netlink, msgchan echo: copy slower by 9")
    assert "% of the change of its total" in verdict[1]
    assert "would settle it" not in text


def test_lines_that_nobody_asked_for_and_that_settle_nothing_are_counted() -> None:
    comparison = compared(10, run_spread=0.02, add={"copy": 900})
    lines = comparison.lines
    keys = list(zip(lines["stage"], lines["quantile"], lines["verdict"], strict=True))
    open_ = (lines["verdict"] == INCONCLUSIVE) & ~lines["decides"]
    assert 0 < open_.sum() < len(lines)
    assert listed(printed(comparison)) == [
        key for key, out in zip(keys, open_, strict=True) if not out
    ]
    assert f"; {open_.sum()} of them decide nothing and are not listed (see --full)\n" in printed(
        comparison
    )
    assert listed(printed(comparison, full=True)) == keys
    assert "--full" not in printed(comparison, full=True)


def test_lines_that_decide_are_listed_whatever_they_say() -> None:
    text = printed(compared(10, run_spread=0.1))
    assert ("total", "p50", INCONCLUSIVE) in listed(text)
    assert not [row for row in listed(text) if row[0] != "total" and row[2] == INCONCLUSIVE]


@pytest.mark.parametrize("asked", [{"stages": ("queue", "wake")}, {"types": ("msgchan echo",)}])
def test_what_was_asked_for_is_listed_settled_or_not(asked: dict[str, tuple[str, ...]]) -> None:
    comparison = compared(1, options=Options(**asked))
    assert set(comparison.lines["verdict"]) == {INCONCLUSIVE}
    assert len(listed(printed(comparison))) == len(comparison.lines)
    assert "--full" not in printed(comparison)


def test_the_share_of_an_unsettled_total_is_not_told() -> None:
    comparison = compared(10, run_spread=0.02, add={"wake": 250})
    (moved,) = comparison.moved.itertuples()
    assert moved.stage == "wake"
    assert np.isnan(moved.share)
    assert "of its total" not in printed(comparison)


@pytest.mark.parametrize("width", [40, 110])
def test_nothing_is_cut(width: int) -> None:
    comparison = compared(10, run_spread=0.1)
    text = printed(comparison, width, full=True)
    for row in comparison.lines.itertuples():
        assert f"{row.base_ns:,.0f}" in text
        assert f"{row.low_ns:+,.0f} … {row.high_ns:+,.0f}" in text
    assert "…\n" not in text


def test_few_runs_are_told_how_many_are_missing() -> None:
    text = printed(compared(1))
    assert text.splitlines()[-5:] == [
        "verdict: inconclusive",
        "  the sides were not recorded in turn (at one time 1 of 1 runs of base and 0 of 1 of new)",
        "  1 run a side cannot tell a change from chance, 5 a side can",
        "  record the sides in turn, or take a drift for change: --allow order",
        "  22 of 22 lines are not settled; "
        "20 of them decide nothing and are not listed (see --full)",
    ]
    assert "1 run: runs/[a]0" in text
    assert "Notes" not in text


def test_notes_are_told_and_wrapped_on_a_terminal_only() -> None:
    note = "the module build differs: [48c0], " + "77 " * 20
    noted = replace(compared(1), notes=(note, "another"))
    assert f"\n\nNotes\n  {note}\n  another\n\nverdict: " in printed(noted, 40)
    assert f"  {note}\n" not in printed(noted, 40, terminal=True)
    assert "[48c0]" in printed(noted, 40, terminal=True)


def test_the_margin_that_would_settle_it_is_told_of_an_open_verdict_only() -> None:
    found = compared(6, run_spread=0.1)
    text = printed(found)
    whole = f"same within {100 * (found.same_within or 0):.1f}%"
    assert f"verdict: inconclusive\n  {whole}" in text
    assert "\n  netlink, msgchan echo, total p50: the runs differ: its change may be as" in text
    # Of the total's quantiles the one that needs most.
    assert f"inconclusive, {whole}" in text
    assert "same within" not in printed(compared(10, add={"copy": 900})).partition("verdict:")[2]


def test_how_many_runs_would_do_is_told_where_they_are_few() -> None:
    found = compared(8, run_spread=0.02)
    assert found.more_runs is not None
    runs = f"{found.more_runs} more run{'s'[: found.more_runs != 1]}"
    assert f"; about {runs} a side would settle it as it is" in printed(found)
    unknown = replace(found, lines=found.lines.assign(more_runs=pd.NA))
    assert "more run" not in printed(unknown)


def test_on_the_deterministic_clock_the_reason_is_told() -> None:
    found = compared(1, deterministic=True)
    assert found.verdict == INCONCLUSIVE
    text = printed(found)
    assert text.count("\n  netlink, msgchan echo, ") == MOST_REASONS
    assert ": 31 exchanges a run tell its change to " in text
    assert "more run" not in text
    open_ = found.lines["decides"] & (found.lines["verdict"] == INCONCLUSIVE)
    assert f"\n  and {open_.sum() - MOST_REASONS} more such line" in text


def test_where_nothing_could_decide_that_is_told() -> None:
    found = compared(6, run_spread=0.1)
    none = replace(found, lines=found.lines.assign(decides=False))
    assert "\n  no line that would decide is in every run\n" in printed(none)


def test_the_deterministic_clock_is_named() -> None:
    text = printed(compared(1, deterministic=True, spread=0.001))
    assert "counts instructions: intervals hold the spread within runs and from boot" in text


def slow_tail(base: int, new: int, counts: tuple[int, int] = (400, 400)) -> Comparison:
    """Two runs of which so many echoes wait 1 ms in the handler."""
    sides = []
    for slow, count in zip((base, new), counts, strict=True):
        made = run_builder.times(np.random.default_rng(1), count, spread=0)
        made[:slow, run_builder.STAGES.index("handler")] += 1_000_000
        sides.append(run_builder.digested(made))
    options = Options(stages=("handler",), allow=frozenset({WORKLOAD}))
    return compare_digests(sides[:1], sides[1:], options)


def test_a_slow_tail_says_how_many_of_how_many() -> None:
    text = printed(slow_tail(0, 8))
    assert "0 → 8 of 400 over 55,100  slower" in text
    assert (
        "verdict: slower\n  netlink, msgchan echo: handler slower in its tail: "
        "8 of 400 slower than 55,100 ns, base 0 of 400\n"
    ) in text
    assert "0 of 400 → 9 of 1,000 over" in printed(slow_tail(0, 9, (400, 1000)))
    back = printed(slow_tail(8, 0))
    assert "faster in its tail: 0 of 400 slower than 55,100 ns, base 8 of 400\n" in back


def test_a_tail_is_not_told_of_where_the_median_moved() -> None:
    text = printed(slow_tail(0, 400))
    assert "handler slower by 1,000,000 ns in the median" in text
    assert "in its tail" not in text


def test_a_tail_that_moved_on_a_wall_clock() -> None:
    comparison = slow_tail(0, 8)
    none = {"slow_from_ns": pd.NA, "low_ns": 990_000.0, "high_ns": 1_010_000.0}
    lines = comparison.lines[comparison.lines["quantile"] != "p90"].assign(**none)
    assert "handler slower in its tail: by 1,000,000 ns at p99" in printed(
        replace(comparison, lines=lines)
    )


def test_the_summary_is_json() -> None:
    for comparison in (compared(1), slow_tail(0, 5), compared(6, add={"copy": 900})):
        found = json.loads(json.dumps(summary(comparison), allow_nan=False))
        assert found["verdict"] == comparison.verdict
        assert found["exit_status"] == comparison.exit_status
        assert len(found["lines"]) == len(comparison.lines)
        assert found["lines"][0]["stage"] == comparison.lines["stage"][0]
        assert found["options"]["min_effect_ns"] == 100
    assert found["moved"][0]["stage"] == "copy"
    assert found["lines"][0]["more_runs"] is None
    assert (found["same_within"], found["why_open"]) == (None, [])
    open_ = summary(compared(6, run_spread=0.1))
    assert open_["same_within"] > 0.02
    assert open_["why_open"][0].startswith("same within ")
    assert summary(compared(1))["why_open"][1].startswith("1 run a side cannot tell")
