# SPDX-License-Identifier: GPL-2.0-or-later
"""A report for a terminal, and for a file or a pipe of 80 columns and more."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from tracer.report import tables

if TYPE_CHECKING:
    from tracer.frames import Run

_READABLE_NS = 10_000_000_000  # above, a table in ns would be too wide
_SIZE_NAMES = {"request_bytes": "request", "reply_bytes": "reply", "copied_bytes": "copied"}


def render(run: Run, console: Console) -> None:
    """Print the whole report: header, plan, stages, sizes, outcomes, ledger."""
    _header(run, console)
    _plan(run, console)
    _stages(run.exchanges, console)
    _sizes(run.exchanges, console)
    _outcomes(run.exchanges, console)
    _ledger(run.ledger, console)
    verdict(run, console)


def verdict(run: Run, console: Console) -> None:
    """Print whether the run can be trusted, and every reason why not."""
    if run.trusted:
        console.print("trusted: [bold green]yes[/], every line of the ledger balances")
        return
    console.print("trusted: [bold red]NO[/]")
    for reason in tables.reasons(run):
        console.print(f"  [red]{escape(reason)}[/]", soft_wrap=not console.is_terminal)


def _header(run: Run, console: Console) -> None:
    meta = run.meta
    clock = meta.get("clock") or {}
    counted = ", counts instructions" if clock.get("deterministic") else ""
    lines = {
        "recording": str(run.path),
        "command": shlex.join(meta.get("command") or []),
        "host": f"{meta.get('host', '?')}, started {meta.get('started', '?')}",
        "kernel": f"{meta.get('kernel', '?')} {meta.get('machine', '')}",
        "clock": f"{clock.get('name', '?')} from {clock.get('source', '?')}{counted}",
        "duration": f"{tables.duration_ns(run) / 1e9:,.3f} s",
        "rows": f"{len(run.events):,} events, {len(run.sends):,} sends, "
        f"{len(run.exchanges):,} exchanges",
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, escape(value))
    lost = tables.losses(run)
    table.add_row("trusted", "[bold green]yes[/]" if run.trusted else "[bold red]NO[/], see below")
    table.add_row("losses", f"[red]{escape(chr(10).join(lost))}[/]" if lost else "none")
    console.print(table)


def _plan(run: Run, console: Console) -> None:
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


def _stages(exchanges: pd.DataFrame, console: Console) -> None:
    found = tables.stage_table(exchanges)
    if found.empty:
        console.print("\n[bold]Stages[/]\nno exchange was completed")
    for (channel, name), group in found.groupby(["channel", "name"], sort=False):
        unit, scale = ("ns", 1) if group["max_ns"].max() < _READABLE_NS else ("ms", 1_000_000)
        table = _titled(console, f"Stages of {channel}, {escape(str(name))} ({unit})")
        table.add_column("stage", no_wrap=True)
        for column in ("count", "p50", "p90", "p99", "max", "share"):
            table.add_column(column, justify="right", no_wrap=True)
        for row in group.itertuples():
            times = (row.p50_ns, row.p90_ns, row.p99_ns, row.max_ns)
            table.add_row(
                str(row.stage),
                f"{row.count:,}",
                *(f"{ns:,}" if scale == 1 else f"{ns / scale:,.3f}" for ns in times),
                f"{row.share:.1%}",
                style={"total": "bold", "unexplained": "dim"}.get(str(row.stage)),
            )
        show(console, table)


def _sizes(exchanges: pd.DataFrame, console: Console) -> None:
    found = tables.size_table(exchanges)
    if found.empty:
        return
    table = _titled(console, "Sizes (bytes)")
    for name in ("channel", "name"):
        table.add_column(name, overflow="fold")
    table.add_column("of", no_wrap=True)
    for column in ("count", "p50", "p99", "max", "total", "messages/s"):
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


def _ledger(ledger: pd.DataFrame, console: Console) -> None:
    table = _titled(console, "Ledger")
    table.add_column("line", overflow="fold")
    table.add_column("witness", overflow="fold")
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("against", overflow="fold")
    table.add_column("other", justify="right", no_wrap=True)
    table.add_column("diff", justify="right", no_wrap=True)
    table.add_column("ok", no_wrap=True)
    table.add_column("note", overflow="fold", max_width=32)
    for row in ledger.itertuples():
        table.add_row(
            escape(str(row.line)),
            escape(str(row.witness)),
            f"{row.count:,}",
            escape(str(row.against)),
            f"{row.other:,}",
            f"{row.difference:+,}" if row.difference else "0",
            "[green]yes[/]" if row.ok else "[bold red]NO[/]",
            escape(str(row.note)),
            style=None if row.ok else "red",
        )
    show(console, table)


def _titled(console: Console, title: str) -> Table:
    console.print(f"\n[bold]{title}[/]")
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim")


def show(console: Console, table: Table) -> None:
    console.print(_Whole(table), crop=False)


class _Whole:
    """A table that runs over the console's width, if it must, rather than cut numbers."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = Measurement.get(console, options.update(max_width=1000), self._table).minimum
        width = max(options.max_width, needed)
        yield from console.render(self._table, options.update(max_width=width))
