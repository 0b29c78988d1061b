# SPDX-License-Identifier: GPL-2.0-or-later
"""How a comparison reads."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import run_builder
from rich.console import Console

from tracer.compare import SLOWER, Comparison, compare_digests
from tracer.digest import Digest, quantile_lines
from tracer.report.comparison import render, summary
from tracer.wall_clock import MOST_RUNS


def compared(runs: int, *, deterministic: bool = False, **how: Any) -> Comparison:
    """Two sides of so many runs; ``how`` makes the second differ."""
    random = np.random.default_rng(1)
    sides = [
        [
            Digest(
                f"runs/[{side}]{number}",
                quantile_lines(run_builder.exchanges(run_builder.times(random, 31, **changed)))[0],
                {},
                deterministic=deterministic,
            )
            for number in range(runs)
        ]
        for side, changed in (("a", {"run_spread": 0.01}), ("b", {"run_spread": 0.01} | how))
    ]
    return compare_digests(*sides)


def printed(comparison: Comparison, width: int = 110, terminal: bool = False) -> str:
    file = io.StringIO()
    kind: dict[str, Any] = {"force_terminal": True, "color_system": None} if terminal else {}
    render(comparison, Console(file=file, width=width, highlight=False, **kind))
    return file.getvalue()


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


def test_the_share_of_an_unsettled_total_is_not_told() -> None:
    comparison = compared(10, run_spread=0.02, add={"wake": 250})
    (moved,) = comparison.moved.itertuples()
    assert moved.stage == "wake"
    assert np.isnan(moved.share)
    assert "of its total" not in printed(comparison)


@pytest.mark.parametrize("width", [40, 110])
def test_nothing_is_cut(width: int) -> None:
    comparison = compared(10, run_spread=0.1)
    text = printed(comparison, width)
    for row in comparison.lines.itertuples():
        assert f"{row.base_ns:,.0f}" in text
        assert f"{row.low_ns:+,.0f} … {row.high_ns:+,.0f}" in text
    assert "…\n" not in text


def test_few_runs_are_told_how_many_are_missing() -> None:
    text = printed(compared(1))
    assert "inconclusive, 4 more runs" in text
    assert text.splitlines()[-2] == "  at least 4 more runs a side would settle it"
    assert "1 run: runs/[a]0" in text
    assert "Notes" not in text


def test_notes_are_told_and_wrapped_on_a_terminal_only() -> None:
    note = "the module build differs: [48c0], " + "77 " * 20
    noted = replace(compared(1), notes=(note, "another"))
    assert f"\n\nNotes\n  {note}\n  another\n\nverdict: " in printed(noted, 40)
    assert f"  {note}\n" not in printed(noted, 40, terminal=True)
    assert "[48c0]" in printed(noted, 40, terminal=True)


def test_how_many_runs_are_missing_is_told_of_an_open_verdict_only() -> None:
    """Where nothing was tested it is a least number, of instructions counted it never is."""
    open_ = compared(6, run_spread=0.1)
    told = f"about {open_.more_runs} more runs a side would settle it"
    assert told in printed(open_)
    tested_once = open_.lines.assign(p=open_.lines["p"].where(open_.lines.index == 0))
    assert told in printed(replace(open_, lines=tested_once))
    assert "would settle it" not in printed(replace(open_, verdict=SLOWER))
    settled = open_.lines.assign(more_runs=np.nan)
    assert "would settle it" not in printed(replace(open_, lines=settled))
    counted = compared(2, deterministic=True, run_spread=0.3)
    assert f"about {counted.more_runs} more runs a side" in printed(counted)
    assert counted.lines["more_runs"].max() == MOST_RUNS
    assert "inconclusive, a million more runs" in printed(counted)


def test_one_more_run_is_singular() -> None:
    assert "at least 1 more run a side" in printed(compared(4))


def test_the_deterministic_clock_is_named() -> None:
    text = printed(compared(1, deterministic=True, spread=0.001))
    assert "counts instructions: intervals hold the spread within runs and from boot" in text


def test_the_summary_is_json() -> None:
    for comparison in (compared(1), compared(6, add={"copy": 900})):
        found = json.loads(json.dumps(summary(comparison), allow_nan=False))
        assert found["verdict"] == comparison.verdict
        assert found["exit_status"] == comparison.exit_status
        assert len(found["lines"]) == len(comparison.lines)
        assert found["lines"][0]["stage"] == "encode"
        assert found["options"]["min_effect_ns"] == 100
    assert found["moved"][0]["stage"] == "copy"
    assert found["lines"][0]["more_runs"] is None
