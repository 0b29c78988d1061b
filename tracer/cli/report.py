# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer report``: print the report of a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tracer.run import Run

PLAIN_WIDTH = 100


@click.command(name="report")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--full", is_flag=True, help="Print every table instead of the summary.")
@click.option("--ledger", is_flag=True, help="Print the ledger: pairs of counts that must agree.")
@click.option("--plan", is_flag=True, help="Print where each point was observed, and why there.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the report, with figures, as one page to FILE, and print its name.",
)
@click.pass_context
def command(
    ctx: click.Context,
    directory: Path,
    full: bool,
    ledger: bool,
    plan: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Print the report of a recording: a summary of one screen, or the whole.

    The summary shows what was recorded, whether it is trusted, the latencies of each
    type of exchange with the share of each stage, and the slowest three. The whole report
    has every table: as text with --full, as JSON, or as a page with figures. Times
    without a unit are in nanoseconds.

    Needs neither root nor Linux. Exit status 1 when the recording is not trusted,
    because a line of its ledger does not balance.

    \b
    Example:
      tracer report runs/first
      tracer report runs/first --full
      tracer report runs/first --json
      tracer report runs/first --html first.html
    """
    _require_one(full=full, ledger=ledger, plan=plan, json=as_json, html=html)
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
        _print(run, full=full, ledger=ledger, plan=plan)
    if not run.trusted:
        if as_json or html or plan:
            _tell_why(run)
        ctx.exit(1)


def _require_one(**asked: object) -> None:
    given = [f"--{name}" for name, value in asked.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other")


def _print(run: Run, *, full: bool, ledger: bool, plan: bool) -> None:
    from rich.console import Console

    from tracer.report import screen, text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    if full:
        text.render(run, console)
    elif ledger:
        text.ledger(run, console)
    elif plan:
        text.plan(run, console)
    else:
        screen.render(run, console)


def _tell_why(run: Run) -> None:
    from tracer.tables import reasons

    for reason in reasons(run):
        click.echo(f"untrusted: {reason}", err=True)
