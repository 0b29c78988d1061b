# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer report``: print what a recording says."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from tracer.frames import load
from tracer.report.tables import reasons, summary
from tracer.report.text import render

PLAIN_WIDTH = 100


@click.command(name="report")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def command(ctx: click.Context, directory: Path, as_json: bool) -> None:
    """Print the stages, sizes, outcomes, ledger and attach plan of a recording.

    Needs neither root nor Linux. Exit status 1 when the recording cannot be
    trusted, because a line of its ledger does not balance.

    \b
    Example:
      tracer report runs/first
      tracer report runs/first --json
    """
    run = load(directory)
    if as_json:
        click.echo(json.dumps(summary(run), indent=1))
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = PLAIN_WIDTH
        render(run, console)
    if not run.trusted:
        for reason in reasons(run) if as_json else []:
            click.echo(f"untrusted: {reason}", err=True)
        ctx.exit(1)
