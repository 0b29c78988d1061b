# SPDX-License-Identifier: GPL-2.0-or-later
"""A report for a terminal, and for a file or a pipe of 80 columns and more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tracer import tables
from tracer.tables.latency import distribution_table, size_latency_table, time_table
from tracer.tables.slowest import program, slowest_table
from tracer.units import axis_unit, count_text, step_text, time_text

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

_READABLE_NS = 10_000_000_000  # for greater times a table in ns would be too wide
_SIZE_NAMES = {"request_bytes": "request", "reply_bytes": "reply", "copied_bytes": "copied"}
_LEAST_SHARE = 0.01  # stages with a smaller share of a slow exchange are not shown


def render(run: Frames, console: Console) -> None:
    """Print the whole report, in the order of the page."""
    exchanges = run.exchanges
    _header(run, console)
    _latencies(exchanges, console)
    _stages(exchanges, console)
    _distribution(exchanges, console)
    _over_time(exchanges, console)
    _sizes(exchanges, console)
    _latency_by_size(exchanges, console)
    _slowest(exchanges, console)
    _outcomes(exchanges, console)
    ledger(run, console)
    plan(run, console)
    console.print()
    verdict(run, console)


def verdict(run: Frames, console: Console) -> None:
    """Print whether the run can be trusted, and every reason why not."""
    if run.trusted:
        console.print("trusted: [bold green]yes[/], every line of the ledger balances")
        return
    console.print("trusted: [bold red]NO[/]")
    for reason in tables.reasons(run):
        console.print(f"  [red]{escape(reason)}[/]", soft_wrap=not console.is_terminal)


def _header(run: Frames, console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    told = tables.facts(run)
    table.add_row("recording", escape(told.pop("recording")))
    bad = "".join(f"\n[red]{escape(reason)}[/]" for reason in tables.reasons(run))
    table.add_row("trusted", "[bold green]yes[/]" if run.trusted else f"[bold red]NO[/]{bad}")
    lost = tables.losses(run)
    table.add_row("losses", f"[red]{escape(chr(10).join(lost))}[/]" if lost else "none")
    for name, value in told.items():
        table.add_row(name, escape(value) or "none")
    console.print(table)


def _latencies(exchanges: pd.DataFrame, console: Console) -> None:
    found = tables.stage_table(exchanges)
    found = found[found["stage"] == "total"]
    if found.empty:
        console.print("\n[bold]Latencies[/]\nno exchange was completed")
        return
    unit, told = _unit(found)
    table = _by_type(console, f"Latencies ({unit})", "count", "p50", "p90", "p99", "max")
    for row in found.itertuples():
        times = (row.p50_ns, row.p90_ns, row.p99_ns, row.max_ns)
        _add(table, row, f"{row.count:,}", *map(told, times))
    show(console, table)


def _stages(exchanges: pd.DataFrame, console: Console) -> None:
    medians = tables.median_table(exchanges).iterrows()
    found = tables.stage_table(exchanges).groupby(["channel", "name"], sort=False)
    for ((channel, name), group), (row, median) in zip(found, medians, strict=True):
        _stage_table(f"Stages of {channel}, {escape(str(name))}", group, console)
        told = ", ".join(f"{stage} {ns:,}" for stage, ns in tables.lengths(median).items())
        console.print(f"[dim]median exchange, row {row} (ns):[/] {told}")


def _stage_table(title: str, group: pd.DataFrame, console: Console) -> None:
    unit, told = _unit(group)
    table = _titled(console, f"{title} ({unit})")
    table.add_column("stage", no_wrap=True)
    _numeric(table, "count", "p50", "p90", "p99", "max", "share")
    for row in group.itertuples():
        times = (row.p50_ns, row.p90_ns, row.p99_ns, row.max_ns)
        table.add_row(
            str(row.stage),
            f"{row.count:,}",
            *map(told, times),
            f"{row.share:.1%}",
            style={"total": "bold", "unexplained": "dim"}.get(str(row.stage)),
        )
    show(console, table)


def _unit(group: pd.DataFrame) -> tuple[str, Callable[[int], str]]:
    """The unit in which a table shows its times, and the function that formats one."""
    if group["max_ns"].max() < _READABLE_NS:
        return "ns", lambda ns: f"{ns:,}"
    return "ms", lambda ns: f"{ns / 1e6:,.3f}"


def _distribution(exchanges: pd.DataFrame, console: Console) -> None:
    found = distribution_table(exchanges)
    if found.empty:
        return
    title = "Distribution of latencies (exchanges that took so long, but not as long as the next)"
    table = _by_type(console, title, *(step_text(ns) for ns in found["from_ns"].unique()))
    for (channel, name), group in found.groupby(["channel", "name"], sort=False):
        counts = [f"{count:,}" if count else "" for count in group["count"]]
        table.add_row(str(channel), escape(str(name)), *counts)
    show(console, table)


def _over_time(exchanges: pd.DataFrame, console: Console) -> None:
    found = time_table(exchanges)
    if found.empty:
        return
    unit, scale = axis_unit(found["to_ns"].max())
    table = _titled(console, f"Latencies over time ({unit} since the first began)")
    table.add_column("channel", no_wrap=True)
    _numeric(table, "from", "to", "count", "p50", "p99", "max")
    for row in found.itertuples():
        edges = (f"{ns / scale:,.3f}" for ns in (row.from_ns, row.to_ns))
        times = map(time_text, (row.p50_ns, row.p99_ns, row.max_ns))
        table.add_row(str(row.channel), *edges, f"{row.count:,}", *times)
    show(console, table)


def _sizes(exchanges: pd.DataFrame, console: Console) -> None:
    found = tables.size_table(exchanges)
    if found.empty:
        return
    table = _titled(console, "Sizes (bytes)")
    for name in ("channel", "name"):
        table.add_column(name, overflow="fold")
    table.add_column("of", no_wrap=True)
    for column in ("count", "p50", "p99", "max", "total", "exchanges/s"):
        table.add_column(column, justify="right", no_wrap=True)
    before = None
    for row in found.itertuples():
        group = (str(row.channel), escape(str(row.name)))
        rate = "" if pd.isna(row.per_second) or group == before else f"{row.per_second:,.1f}"
        table.add_row(
            *(("", "") if group == before else group),
            _SIZE_NAMES[str(row.size)],
            *(f"{n:,}" for n in (row.count, row.p50, row.p99, row.max, row.total)),
            rate,
        )
        before = group
    show(console, table)


def _latency_by_size(exchanges: pd.DataFrame, console: Console) -> None:
    found = size_latency_table(exchanges)
    if found.empty:
        return
    title = "Latencies by size (bytes of request and reply)"
    table = _by_type(console, title, "bytes", "count", "p10", "p50", "p90", "p99", "max")
    for row in found.itertuples():
        span = f"{row.from_bytes:,}"
        if row.to_bytes > row.from_bytes:
            span += f" to {row.to_bytes:,}"
        times = (row.p10_ns, row.p50_ns, row.p90_ns, row.p99_ns, row.max_ns)
        _add(table, row, span, f"{row.count:,}", *map(time_text, times))
    show(console, table)


def _slowest(exchanges: pd.DataFrame, console: Console) -> None:
    """Print two lines for each of the slowest exchanges.

    The first says what it was, the second in which stages its time went, the largest first.
    """
    found = slowest_table(exchanges)
    if found.empty:
        return
    many = f"The {len(found)} slowest exchanges" if len(found) > 1 else "The slowest exchange"
    table = _titled(console, many)
    _numeric(table, "row", "began, ms", "total, ns")
    table.add_column("status", no_wrap=True)
    table.add_column("program", overflow="fold")
    table.add_column("type, and its stages from 1 % on", overflow="fold")
    for number, row in found.iterrows():
        table.add_row(
            f"{number}", f"{row['since_ns'] / 1e6:,.3f}", f"{row['total_ns']:,}",
            str(row["status"]), escape(program(row["comm"], row["tid"])),
            escape(f"{row['channel']}, {row['name']}\n{_shares(row)}"),
        )  # fmt: skip
    show(console, table)


def _shares(exchange: pd.Series[Any]) -> str:
    parts = sorted(tables.lengths(exchange).items(), key=lambda part: -part[1])
    total = max(int(exchange["total_ns"]), 1)
    return ", ".join(
        f"{stage} {ns / total:.0%}" for stage, ns in parts if ns / total >= _LEAST_SHARE
    )


def _outcomes(exchanges: pd.DataFrame, console: Console) -> None:
    found = tables.outcome_table(exchanges)
    if found.empty:
        return
    table = _titled(console, "Outcomes")
    for name in ("channel", "name"):
        table.add_column(name, overflow="fold")
    table.add_column("count", justify="right", no_wrap=True)
    for name in ("status", "match"):
        table.add_column(name, overflow="fold")
    for row in found.itertuples():
        table.add_row(
            str(row.channel), escape(str(row.name)), f"{row.count:,}", str(row.status),
            str(row.match),
        )  # fmt: skip
    show(console, table)


def ledger(run: Frames, console: Console) -> None:
    """Print the ledger, and below it whether the run can be trusted."""
    table = _titled(console, "Ledger")
    table.add_column("line", overflow="fold")
    table.add_column("witness", overflow="fold")
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("against", overflow="fold")
    table.add_column("other", justify="right", no_wrap=True)
    table.add_column("diff", justify="right", no_wrap=True)
    table.add_column("ok", no_wrap=True)
    table.add_column("note", overflow="fold", max_width=32)
    for row in run.ledger.itertuples():
        table.add_row(
            escape(str(row.line)),
            escape(str(row.witness)),
            count_text(row.count),
            escape(str(row.against)),
            count_text(row.other),
            count_text(row.difference, sign="+"),
            "[green]yes[/]" if row.ok else "[bold red]NO[/]",
            escape(str(row.note)),
            style=None if row.ok else "red",
        )
    show(console, table)


def plan(run: Frames, console: Console) -> None:
    """Print the attach plan: the site of each point, and why it was chosen."""
    table = _titled(console, "Attach plan")
    for name in ("point", "site"):
        table.add_column(name, no_wrap=True)
    for name in ("target", "reason"):
        table.add_column(name, overflow="fold")
    for row in run.meta.get("plan") or []:
        table.add_row(
            *(escape(str(row.get(key, ""))) for key in ("point", "site", "target", "reason"))
        )
    show(console, table)


def _titled(console: Console, title: str) -> Table:
    console.print(f"\n[bold]{title}[/]")
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim")


def _by_type(console: Console, title: str, *columns: str) -> Table:
    """A table with one line or more per type, and a number in every other column."""
    table = _titled(console, title)
    for name in ("channel", "name"):
        table.add_column(name, overflow="fold")
    _numeric(table, *columns)
    return table


def _numeric(table: Table, *columns: str) -> None:
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)


def _add(table: Table, row: Any, *numbers: str) -> None:
    """Add a line with the row's channel, name and ``numbers``."""
    table.add_row(str(row.channel), escape(str(row.name)), *numbers)


def show(console: Console, table: Table) -> None:
    """Print a table without cutting its cells, even if it gets wider than the console."""
    for column in table.columns:
        if column.no_wrap:  # a column that may wrap can be as narrow as its longest word
            cells = (column.header, *column.cells)
            column.min_width = max(Text.from_markup(str(cell)).cell_len for cell in cells)
    console.print(_Whole(table), crop=False)


class _Whole:
    """A table that is wider than the console if its numbers would be cut otherwise."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = Measurement.get(console, options.update(max_width=1000), self._table).minimum
        width = max(options.max_width, needed)
        yield from console.render(self._table, options.update(max_width=width))
