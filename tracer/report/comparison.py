# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison for a terminal, a file or a pipe; and as plain values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tracer.compare.comparison import FASTER, INCONCLUSIVE, SAME, SLOWER, Comparison, within
from tracer.compare.digest import MEDIAN
from tracer.compare.tails import counted
from tracer.report.summary import records
from tracer.report.text import show

MOST_REASONS = 5
_STYLE = {SLOWER: "bold red", FASTER: "bold green", INCONCLUSIVE: "yellow", SAME: "dim"}


def render(comparison: Comparison, console: Console, full: bool = False) -> None:
    """Print the sides, the lines of every type, notes, and the verdict last.

    Lines that are not settled, decide nothing and were not asked for are counted in one line of
    the verdict; with ``full`` they are listed like the others.
    """
    lines = comparison.lines
    left_out = pd.Series(False, lines.index) if full else _unasked(comparison)
    _sides(comparison, console)
    for (channel, name), group in lines[~left_out].groupby(["channel", "name"], sort=False):
        console.print(f"\n[bold]{channel}, {escape(str(name))} (ns)[/]")
        show(console, _table(group))
    if comparison.notes:
        console.print("\n[bold]Notes[/]")
        for note in comparison.notes:
            console.print(f"  {escape(note)}", soft_wrap=not console.is_terminal)
    console.print()
    for line in verdict_lines(comparison, int(left_out.sum())):
        console.print(line, soft_wrap=not console.is_terminal)


def verdict_lines(comparison: Comparison, left_out: int = 0) -> list[str]:
    """The verdict, the stages that moved, and what is not settled, as markup.

    ``left_out`` is how many of the lines that are not settled are not listed above.
    """
    verdict = comparison.verdict
    told = [f"verdict: [{_STYLE[verdict]}]{verdict}[/]"]
    for row in comparison.moved.itertuples():
        share = "" if pd.isna(row.share) else f", {row.share:.0%} of the change of its total"
        told.append(
            f"  {row.channel}, {escape(str(row.name))}: [{_STYLE[str(row.verdict)]}]{row.stage} "
            f"{row.verdict}[/] by {abs(row.change_ns):,.0f} ns in the median{share}"
        )
    told += [f"  {escape(line)}" for line in tails_moved(comparison)]
    if verdict == INCONCLUSIVE:
        told += [f"  {escape(line)}" for line in why_open(comparison)]
        if comparison.unmixed:
            told.append("  record the sides in turn, or take a drift for change: --allow order")
    open_lines = comparison.lines[comparison.lines["verdict"] == INCONCLUSIVE]
    if len(open_lines):
        told.append(f"  {len(open_lines)} of {len(comparison.lines)} lines are not settled")
    if left_out:
        told[-1] += f"; {left_out} of them decide nothing and are not listed (see --full)"
    return told


def _unasked(comparison: Comparison) -> pd.Series[bool]:
    """The lines that are not settled, decide nothing and that nobody asked for by a name."""
    lines, options = comparison.lines, comparison.options
    if options.stages or options.types:
        return pd.Series(False, lines.index)
    return (lines["verdict"] == INCONCLUSIVE) & ~lines["decides"]


def why_open(comparison: Comparison) -> list[str]:
    """Why a comparison is inconclusive, line by line, and first what would settle it as a whole."""
    whole = [why for why in (comparison.unmixed, comparison.too_few) if why]
    if whole:
        return whole
    told = [settling] if (settling := settles(comparison)) else []
    lines = comparison.lines
    if not lines["decides"].any():
        return ["no line that would decide is in every run"]
    lines = lines[lines["decides"] & (lines["verdict"] == INCONCLUSIVE)]
    for row in lines.head(MOST_REASONS).itertuples():
        told.append(f"{row.channel}, {row.name}, {row.stage} {row.quantile}: {row.why}")
    if (rest := len(lines) - MOST_REASONS) > 0:
        told.append(f"and {rest} more such line{'s'[: rest != 1]}")
    return told


def settles(comparison: Comparison) -> str:
    """With which margin, or how many more runs, a comparison would be settled; "" unless known."""
    told = []
    if comparison.same_within is not None:
        told.append(f"same within {100 * comparison.same_within:.1f}%")
    if comparison.more_runs is not None:
        told.append(f"about {_more(comparison.more_runs)} a side would settle it as it is")
    return "; ".join(told)


def tails_moved(comparison: Comparison) -> list[str]:
    """A line for each stage whose median did not move but whose tail did: how many are slow."""
    lines = comparison.lines
    moved = lines[lines["verdict"].isin([SLOWER, FASTER])]
    stage = ["channel", "name", "stage"]
    medians = moved[moved["quantile"] == MEDIAN].set_index(stage).index
    told = []
    for key, group in moved.groupby(stage, sort=False):
        if key not in medians:
            row = next(group.sort_values("slow_from_ns").itertuples())
            by = counted(row) or f"by {abs(row.change_ns):,.0f} ns at {row.quantile}"
            told.append(f"{row.channel}, {row.name}: {row.stage} {row.verdict} in its tail: {by}")
    return told


def summary(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as plain values for JSON; times in ns."""
    options = asdict(comparison.options)
    return {
        "verdict": comparison.verdict,
        "exit_status": comparison.exit_status,
        "same_within": comparison.same_within,
        "more_runs": comparison.more_runs,
        "why_open": why_open(comparison) if comparison.verdict == INCONCLUSIVE else [],
        "base": list(comparison.base),
        "new": list(comparison.new),
        "deterministic": comparison.deterministic,
        "options": options | {"allow": sorted(options["allow"])},
        "moved": records(comparison.moved),
        "lines": records(comparison.lines),
        "notes": list(comparison.notes),
    }


def numbers(line: Any) -> tuple[str, str, str, str, str]:
    """The texts of a line of ``Comparison.lines``: base, new, change (ns), its share, interval.

    If slow exchanges were counted, their counts stand in place of the interval.
    """
    return (
        f"{line.base_ns:,.0f}",
        f"{line.new_ns:,.0f}",
        f"{line.change_ns:+,.0f}",
        "" if pd.isna(line.change) else f"{line.change:+.1%}",
        _slow(line) if pd.isna(line.low_ns) else f"{line.low_ns:+,.0f} … {line.high_ns:+,.0f}",
    )


def _slow(line: Any) -> str:
    """How many exchanges of base and new are slow, and the limit; "" if they were not counted."""
    if pd.isna(line.slow_from_ns):
        return ""
    of = "" if line.base_count == line.new_count else f" of {line.base_count:,}"
    new = f"{line.new_slow:,} of {line.new_count:,}"
    return f"{line.base_slow:,}{of} → {new} over {line.slow_from_ns:,}"


def _sides(comparison: Comparison, console: Console) -> None:
    options = comparison.options
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for side, runs in (("base", comparison.base), ("new", comparison.new)):
        table.add_row(side, escape(f"{len(runs)} run{'s'[: len(runs) != 1]}: {', '.join(runs)}"))
    clock = (
        "counts instructions: intervals hold the spread within runs and from boot to boot; "
        "beyond the median slow exchanges are counted"
    )
    if not comparison.deterministic:
        clock = (
            f"wall: {options.confidence:.0%} intervals by bootstrap over runs, "
            f"false alarms at most {options.false_alarms:.1%} among all lines"
        )
    table.add_row("clock", clock)
    margin = f"the larger of {options.min_effect:.1%} and {options.min_effect_ns} ns"
    table.add_row("matters from", margin)
    console.print(table)


def _table(group: pd.DataFrame) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("stage", "of"):
        table.add_column(name, no_wrap=True)
    for name in ("base", "new", "change", "%", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    before = None
    for row in group.itertuples():
        verdict = str(row.verdict)
        table.add_row(
            "" if row.stage == before else str(row.stage),
            str(row.quantile),
            *numbers(row),
            f"[{_STYLE[verdict]}]{verdict}[/]{same_within(row)}",
        )
        before = row.stage
    return table


def same_within(line: Any) -> str:
    """The margin that would settle an open line of ``Comparison.lines``, after a comma; "" where
    none would."""
    if pd.isna(line.same_within_ns):
        return ""
    if not line.base_ns:
        return f", same within {line.same_within_ns:,.0f} ns"
    return f", same within {100 * within(line.same_within_ns / line.base_ns):.1f}%"


def _more(runs: int) -> str:
    return f"{runs:,} more run{'s'[: runs != 1]}"
