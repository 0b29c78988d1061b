# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary of a recording on one screen: at most 60 lines of 80 columns, no cell wraps.

It says what was recorded, whether it is trusted, how long each type of exchange took and in which
stages, the slowest three, and where to read on. :mod:`tracer.report.text` has the whole report.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracer import tables
from tracer.colours import STAGE_COLOURS
from tracer.tables.slowest import program, slowest_table
from tracer.units import printable, time_text

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

#: The name under which `make run` and the docs write a recording's page into its directory.
PAGE = "report.html"
WIDTH = 80
TYPES, SLOWEST, REASONS, NAMED_STAGES = 8, 3, 5, 3
_BAR = 38
_LEAST_SHARE = 0.01
_INDENT = "  "
_NAME, _PROGRAM = 28, 12


def _letters(stages: Sequence[str]) -> dict[str, str]:
    """A letter for each stage: the first one of its name that no stage before it has taken."""
    found: dict[str, str] = {}
    for stage in stages:
        found[stage] = next(c for c in stage.replace("_", "") if c not in found.values())
    return found


LETTERS = _letters([*STAGE_COLOURS])


def render(run: Frames, console: Console) -> None:
    """Print the screen."""
    _what(run, console)
    _trust(run, console)
    stages = tables.stage_table(run.exchanges)
    if stages.empty:
        _line(console, "")
        _line(console, "No exchange was completed.")
    else:
        _latencies(run.exchanges, stages, console)
        _slowest(run.exchanges, console)
    _further(run, console)


def _line(console: Console, text: str | Text) -> None:
    """Print one line, cut with a mark at the screen's width."""
    line = text if isinstance(text, Text) else Text(text)
    console.print(line, no_wrap=True, overflow="ellipsis", width=WIDTH)


def _what(run: Frames, console: Console) -> None:
    told = tables.facts(run)
    status = run.exchanges["status"].value_counts()
    counts = ", ".join(f"{count:,} {name}" for name, count in status.items() if count)
    _line(console, Text(told["command"] or told["recording"], "bold"))
    _line(console, f"{told['duration']} on {told['kernel']}, clock {told['clock']}")
    exchanges = f"{len(run.exchanges):,} exchanges"
    _line(console, f"{exchanges} ({counts})" if counts else exchanges)


def _trust(run: Frames, console: Console) -> None:
    lines = len(run.ledger)
    if run.trusted:
        told = f"yes, all {lines} lines of the ledger balance"
        _line(console, Text.assemble("trusted: ", (told, "bold green")))
        return
    wrong = tables.reasons(run)
    told = f"NO, {len(wrong)} of {lines} lines of the ledger do not balance"
    _line(console, Text.assemble("trusted: ", (told, "bold red")))
    for reason in wrong[:REASONS]:
        _line(console, Text(f"{_INDENT}{printable(reason)}", "red"))
    if len(wrong) > REASONS:
        _line(console, f"{_INDENT}and {len(wrong) - REASONS} more: --ledger")


def _latencies(exchanges: pd.DataFrame, stages: pd.DataFrame, console: Console) -> None:
    """Print two lines for each type: its latencies, and a bar of its stages' shares.

    If there are many types, only those on which most time was spent.
    """
    console.print()
    table = _columns("latency", "count", "p50", "p90", "p99", "max")
    bars = []
    kinds = _by_time_spent(exchanges)
    for channel, name in kinds[:TYPES]:
        of = stages[(stages["channel"] == channel) & (stages["name"] == name)]
        total = next(of[of["stage"] == "total"].itertuples())
        times = map(time_text, (total.p50_ns, total.p90_ns, total.p99_ns, total.max_ns))
        table.add_row(_cut(f"{channel} {name}", _NAME), f"{total.count:,}", *times)
        bars.append(_bar(of[of["stage"] != "total"].set_index("stage")["share"]))
    _between(console, table, bars)
    if len(kinds) > TYPES:
        _line(console, f"and {len(kinds) - TYPES} more types, which took less time: --full")
    _legend([stage for stage in STAGE_COLOURS if _drawn(stage, bars)], console)


def _by_time_spent(exchanges: pd.DataFrame) -> list[tuple[str, str]]:
    """Channel and name of every type with settled exchanges, the most time spent first."""
    settled = exchanges[exchanges["status"].isin(tables.SETTLED) & exchanges["total_ns"].notna()]
    spent = {
        kind: int(tables.once(group)["total_ns"].sum()) for kind, group in tables.groups(settled)
    }
    return sorted(spent, key=lambda kind: -spent[kind])


def _drawn(stage: str, bars: list[Text]) -> bool:
    """Whether a stage is long enough to be seen in one of the bars."""
    return any(LETTERS[stage] in bar.plain[: _BAR + len(_INDENT)] for bar in bars)


def _cut(text: str, room: int) -> Text:
    """A cell with a recorded name, cut to ``room`` characters."""
    text = printable(text)
    return Text(text if len(text) <= room else f"{text[: room - 1]}…")


def _bar(shares: pd.Series[Any]) -> Text:
    """A bar whose parts are as long as the stages' shares of the time, and the largest share."""
    lengths = _rounded(shares.to_numpy(np.float64), _BAR)
    bar = Text(_INDENT)
    for stage, length in zip(shares.index, lengths, strict=True):
        bar.append(LETTERS[stage] * int(length), f"black on {STAGE_COLOURS[stage]}")
    largest = shares.sort_values(ascending=False, kind="stable").head(NAMED_STAGES)
    told = ", ".join(
        f"{stage} {share:.0%}" for stage, share in largest.items() if share >= _LEAST_SHARE
    )
    return bar.append(f"  {told}")


def _rounded(shares: np.ndarray[Any, np.dtype[np.float64]], whole: int) -> list[int]:
    """Whole numbers in the proportions of ``shares`` with the sum ``whole``.

    They are rounded down, and those with the largest remainders get one more.
    """
    total = float(shares.sum())
    if not total:
        return [0] * len(shares)
    exact = shares / total * whole
    found = np.floor(exact).astype(int)
    missing = whole - int(found.sum())
    found[np.argsort(found - exact, kind="stable")[:missing]] += 1
    return [int(n) for n in found]


def _legend(stages: Sequence[str], console: Console) -> None:
    line = Text(_INDENT)
    for stage in stages:
        part = Text.assemble(
            (LETTERS[stage], f"black on {STAGE_COLOURS[stage]}"), f" {stage}", "  "
        )
        if line.cell_len + part.cell_len > WIDTH:
            _line(console, line)
            line = Text(_INDENT)
        line.append_text(part)
    _line(console, line)


def _slowest(exchanges: pd.DataFrame, console: Console) -> None:
    found = slowest_table(exchanges, SLOWEST)
    console.print()
    table = _columns("slowest", "row", "total")
    table.add_column("program", no_wrap=True)
    table.add_column("largest stage", no_wrap=True)
    for number, row in found.iterrows():
        table.add_row(
            _cut(f"{row['channel']} {row['name']}", _NAME),
            f"{number}",
            time_text(row["total_ns"]),
            _cut(program(row["comm"], row["tid"]), _PROGRAM),
            f"{row['largest']} {row['share']:.0%}",
        )
    _between(console, table, [])


def _further(run: Frames, console: Console) -> None:
    path, page = (printable(shlex.quote(str(p))) for p in (run.path, run.path / PAGE))
    console.print()
    _whole(console, f"recording  {path}")
    if (run.path / PAGE).is_file():
        _whole(console, f"page       {page}")
    else:
        _whole(console, f"page       tracer report {path} --html {page}")
    _whole(console, f"more       tracer report {path} --full (or --ledger, --plan)")


def _whole(console: Console, text: str) -> None:
    """Print one line without cutting it, because half a path is of no use."""
    console.print(Text(text), soft_wrap=True)


def _columns(first: str, *names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(first, no_wrap=True, min_width=_NAME)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _between(console: Console, table: Table, bars: list[Text]) -> None:
    """Print a table with one of the ``bars`` below each row."""
    with console.capture() as captured:
        console.print(table, width=WIDTH)
    head, *rows = captured.get().rstrip("\n").split("\n")
    console.print(Text.from_ansi(head), no_wrap=True)
    for number, row in enumerate(rows):
        console.print(Text.from_ansi(row), no_wrap=True)
        if bars:
            _line(console, bars[number])
