# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer report``: print what a recording says."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

PLAIN_WIDTH = 100


@click.command(name="report")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the report, with figures, as one page to FILE, and print its name.",
)
@click.pass_context
def command(ctx: click.Context, directory: Path, as_json: bool, html: Path | None) -> None:
    """Print what a recording says, the same as text, as JSON or as a page with figures.

    Whether it can be trusted and what was lost; the latencies and stages of each type
    of exchange, their distribution, over time and by size; the slowest exchanges;
    outcomes, ledger and attach plan. Times are in nanoseconds where no unit is told.

    Needs neither root nor Linux. Exit status 1 when the recording cannot be
    trusted, because a line of its ledger does not balance.

    \b
    Example:
      tracer report runs/first
      tracer report runs/first --json
      tracer report runs/first --html first.html
    """
    if as_json and html:
        raise click.UsageError("--json and --html exclude each other")
    from tracer.run import load

    run = load(directory)
    if html:
        from tracer.report.html import write_page

        write_page(run, html)
        click.echo(str(html))
    elif as_json:
        from tracer.report.summary import summary

        click.echo(json.dumps(summary(run), indent=1))
    else:
        from tracer.report.text import render

        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = PLAIN_WIDTH
        render(run, console)
    if not run.trusted:
        from tracer.tables import reasons

        for reason in reasons(run) if as_json or html else []:
            click.echo(f"untrusted: {reason}", err=True)
        ctx.exit(1)
