# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of a failed test: which stage changed, by how much, and the slowest exchanges."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tracer.compare.comparison import FASTER, INCONCLUSIVE, SAME, SLOWER, Comparison
from tracer.compare.tails import counted
from tracer.report.comparison import numbers, same_within, why_open
from tracer.run import Run
from tracer.tables.outcomes import SETTLED

MOST_LINES = 8
SLOWEST = 3
OUT_OF_TURN = (
    "A baseline on a wall clock was recorded before the runs, never in turn with them. Use\n"
    'pytest --latency-lab, whose clock counts instructions, or say allow="order" in the check:\n'
    "then a machine that is slower today fails the test too."
)
_MEDIAN = "p50"


def told(comparison: Comparison, runs: Sequence[Run], name: str, path: Path) -> tuple[str, str]:
    """The headline and the whole text about a comparison that is slower or inconclusive."""
    options = comparison.options
    headline = _headline(comparison, name)
    allowed = f"{options.min_effect_ns:,} ns"
    if options.min_effect:
        allowed = f"the larger of {100 * options.min_effect:g} % and {allowed}"
    text = [headline, ""]
    text.append(f"baseline   {path} ({_count(len(comparison.base), 'run')})")
    text.append(f"allowed    {allowed}")
    text += [f"recording  {run.path}" for run in runs]
    for (channel, kind), lines in _by_type(comparison):
        stage = str(_line(lines, _moved_stage(comparison, channel, kind))["stage"])
        said, more = _telling(lines, comparison.verdict, stage)
        if len(said):
            text += ["", f"{channel}, {kind} (ns)", *_table(said)]
            text += [f"  and {_count(more, 'more line')}, see --latency-report"] * bool(more)
            text += _moved(comparison, channel, kind)
            text += _slowest(runs, channel, kind, stage)
    if comparison.verdict == INCONCLUSIVE:
        text += ["", *(f"not settled: {why}" for why in why_open(comparison))]
    if comparison.unmixed:
        text.append(OUT_OF_TURN)
    text += ["", *(f"note: {note}" for note in comparison.notes)]
    text += [f"go on with: tracer report {shlex.quote(str(run.path))}" for run in runs[:1]]
    return headline, "\n".join(text)


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per type, for tables: the line that best explains the verdict.

    type, stage, quantile, base_ns, new_ns, change_ns, change (share), slow (the counts of slow
    exchanges as text, "" if they were not counted), verdict (on the type).
    """
    return [
        _row(channel, kind, _line(lines, _moved_stage(comparison, channel, kind)), _verdict(lines))
        for (channel, kind), lines in _by_type(comparison)
    ]


def medians(comparison: Comparison) -> list[dict[str, Any]]:
    """Rows like those of :func:`rows`, one for every median that was compared."""
    lines = comparison.lines[comparison.lines["quantile"] == _MEDIAN]
    return [
        _row(line["channel"], line["name"], line, line["verdict"]) for _, line in lines.iterrows()
    ]


def _row(channel: str, kind: str, line: pd.Series[Any], verdict: str) -> dict[str, Any]:
    change = None if pd.isna(line["change"]) else float(line["change"])
    return {
        "type": f"{channel}, {kind}",
        "stage": str(line["stage"]),
        "quantile": str(line["quantile"]),
        "base_ns": float(line["base_ns"]),
        "new_ns": float(line["new_ns"]),
        "change_ns": float(line["change_ns"]),
        "change": change,
        "slow": counted(line),
        "verdict": verdict,
    }


def _by_type(comparison: Comparison) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    for (channel, kind), lines in comparison.lines.groupby(["channel", "name"], sort=False):
        yield (str(channel), str(kind)), lines


def _moved_stage(comparison: Comparison, channel: str, kind: str) -> str:
    """The stage that moved most in a type, "" if none did."""
    moved = comparison.moved
    found = moved[(moved["channel"] == channel) & (moved["name"] == kind)]["stage"]
    return str(found.iloc[0]) if len(found) else ""


def _line(lines: pd.DataFrame, moved: str) -> pd.Series[Any]:
    """The line of one type to show: that of the moved stage, the worst one, or the total's."""
    verdict = _verdict(lines)
    shown = lines[_makes_verdict(lines, verdict)]
    # A stage explains more than the total, unless nothing changed.
    stage = lines["stage"] == moved if moved else (lines["stage"] == "total") == (verdict == SAME)
    for preferred in (stage, lines["decides"], lines["quantile"] == _MEDIAN):
        kept = shown[preferred[shown.index]]
        shown = kept if len(kept) else shown
    return shown.loc[shown["change_ns"].abs().idxmax()]


def _verdict(lines: pd.DataFrame) -> str:
    """The verdict on these lines alone, by the rule that makes the overall verdict."""
    found = set(lines["verdict"])
    if SLOWER in found:
        return SLOWER
    if (lines[lines["decides"]]["verdict"] == INCONCLUSIVE).any():
        return INCONCLUSIVE
    return FASTER if FASTER in found else SAME


def _makes_verdict(lines: pd.DataFrame, verdict: str) -> pd.Series[bool]:
    if verdict == SAME:
        return lines["quantile"] == _MEDIAN
    made = lines["verdict"] == verdict
    return made & lines["decides"] if verdict == INCONCLUSIVE else made


def _headline(comparison: Comparison, name: str) -> str:
    wanted = comparison.verdict
    candidates = [row for row in rows(comparison) if row["verdict"] == wanted]
    most = max(candidates or rows(comparison), key=lambda row: abs(row["change_ns"]))
    said = (
        f"{wanted}: {most['type']}: {most['stage']} {most['change_ns']:+,.0f} ns"
        f"{_percent(most['change'])} at {most['quantile']}, baseline {name!r}"
    )
    if wanted == SLOWER and most["slow"]:
        said += f": {most['slow']}"
    if wanted == INCONCLUSIVE:
        said += f"; {why_open(comparison)[0]}"
    return said


def _telling(lines: pd.DataFrame, verdict: str, stage: str) -> tuple[pd.DataFrame, int]:
    """The lines of a type to show, and how many are left out.

    These are the lines that made the verdict, and the median of the total for comparison. If
    there are many, the lines of ``stage`` are preferred.
    """
    made = _makes_verdict(lines, verdict)
    if not made.any():
        return lines[made], 0
    total = (lines["stage"] == "total") & (lines["quantile"] == _MEDIAN)
    found = lines[made | total]
    first = (found["stage"] == stage) | total[found.index]
    kept = [*found.index[first], *found.index[~first]][:MOST_LINES]
    return found[found.index.isin(kept)], len(found) - len(kept)


def _table(lines: pd.DataFrame) -> Iterator[str]:
    head = ("stage", "of", "base", "new", "change", "%", "interval", "allowed", "verdict")
    cells = [
        (
            str(line.stage),
            str(line.quantile),
            *numbers(line),
            f"{line.margin_ns:,.0f}",
            f"{line.verdict}{same_within(line)}",
        )
        for line in lines.itertuples()
    ]
    yield from _aligned([head, *cells], left={0, 1, 8})


def _moved(comparison: Comparison, channel: str, kind: str) -> Iterator[str]:
    for row in comparison.moved.itertuples():
        if (row.channel, row.name) == (channel, kind):
            share = "" if pd.isna(row.share) else f", {row.share:.0%} of the change of the total"
            yield f"  moved: {row.stage}, {row.change_ns:+,.0f} ns in the median{share}"


def _slowest(runs: Sequence[Run], channel: str, kind: str, stage: str) -> Iterator[str]:
    """The exchanges of the new runs that were slowest in that stage."""
    found = []
    for run in runs:
        rows = run.exchanges
        rows = rows[(rows["channel"] == channel) & (rows["name"] == kind)]
        rows = rows[rows["status"].isin(SETTLED) & rows[f"{stage}_ns"].notna()]
        most = rows.sort_values(f"{stage}_ns", ascending=False, kind="stable").head(SLOWEST)
        found += [(run, index, row) for index, row in most.iterrows()]
    found.sort(key=lambda one: -int(one[2][f"{stage}_ns"]))
    several = len(runs) > 1
    columns = ["row", "seq", "tid", *dict.fromkeys([stage, "total"])]
    cells = [tuple([*columns, "recording"] if several else columns)]
    for run, index, row in found[:SLOWEST]:
        ids = ["" if pd.isna(row[name]) else str(row[name]) for name in ("seq", "tid")]
        told = [str(index), *ids, *(f"{row[f'{name}_ns']:,}" for name in columns[3:])]
        cells.append(tuple([*told, run.path.name] if several else told))
    yield f"  slowest in {stage} (ns; row of run.exchanges):"
    yield from _aligned(cells, left={len(columns)})


def _aligned(table: Sequence[tuple[str, ...]], left: set[int]) -> Iterator[str]:
    """The rows as indented lines, columns aligned to the right except those in ``left``."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + "  ".join(cells)).rstrip()


def _percent(change: float | None) -> str:
    return "" if change is None else f" ({change:+.1%})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"
