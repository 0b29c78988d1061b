# SPDX-License-Identifier: GPL-2.0-or-later
"""tracer doctor: what this machine offers, and what would mend the rest."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Column, Table

from tracer.attach import doctor
from tracer.attach.plan import Plan, make_plan
from tracer.errors import TracerError

#: Of a pipe or a file: a line is as long as it needs.
PLAIN_WIDTH = 10_000


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Tell what this kernel lets us observe, and what would mend the rest.

    Exit status: 0 when recording is possible here, 1 when it is not.

    \b
    Example:
      tracer doctor
      tracer lab -- tracer doctor
    """
    found = list(doctor.checks())
    possible = all(check.ok for check in found if check.needed)
    plan: Plan | None = None
    refusal = ""
    if possible:
        try:
            plan = make_plan(doctor.offer())
        except TracerError as error:
            refusal, possible = str(error), False
    if as_json:
        rows = plan.as_rows() if plan else []
        result = {"possible": possible, "checks": [asdict(c) for c in found], "plan": rows}
        click.echo(json.dumps(result, indent=1))
    else:
        _print(found, plan)
        if refusal:
            click.echo(f"no plan: {refusal}")
        click.echo("recording is possible here" if possible else "recording is not possible here")
    ctx.exit(0 if possible else 1)


def _print(found: list[doctor.Check], plan: Plan | None) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    checks = _table("check", "", "found", "to mend it")
    for check in found:
        mark = "ok" if check.ok else "MISSING" if check.needed else "missing"
        checks.add_row(check.name, mark, check.found, "" if check.ok else check.todo)
    console.print(checks)
    if plan is None:
        return
    sites = _table("point", "site", "target", "reason")
    for row in plan.as_rows():
        sites.add_row(row["point"], row["site"], row["target"], row["reason"])
    console.print()
    console.print(sites)


def _table(*columns: str) -> Table:
    """A table that folds a cell too wide for the terminal rather than cut it."""
    return Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False)
