# SPDX-License-Identifier: GPL-2.0-or-later
"""tracer doctor: what this machine offers, and what would mend the rest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from tracer.attach import doctor
from tracer.attach.plan import Plan, make_plan
from tracer.errors import TracerError
from tracer.lab import ready

if TYPE_CHECKING:
    from rich.table import Table

#: The width for a pipe or a file, where no line needs to be wrapped.
PLAIN_WIDTH = 10_000
#: What reading a recording takes besides this package.
READERS = ("numpy", "pandas", "pyarrow", "scipy", "matplotlib", "jinja2", "rich")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Tell what this kernel lets us observe, and what would mend the rest.

    First whether recording, reading recordings and the lab work on this machine.

    Exit status: 0 when recording is possible here, 1 when it is not.

    \b
    Example:
      tracer doctor
      tracer lab -- tracer doctor
    """
    found = list(doctor.checks())
    plan, refusal = _plan(found)
    works = {"record": _records(found, refusal), "read": _reads(), "lab": _starts_lab()}
    possible = works["record"].ok
    if as_json:
        result = {
            "works": {what: asdict(ability) for what, ability in works.items()},
            "possible": possible,
            "checks": [asdict(c) for c in found],
            "plan": plan.as_rows() if plan else [],
        }
        click.echo(json.dumps(result, indent=1))
    else:
        _print(works, found, plan)
    ctx.exit(0 if possible else 1)


@dataclass(frozen=True)
class Ability:
    """Whether something works on this machine, and why it does or does not, or how to do it."""

    ok: bool
    why: str


def _plan(found: list[doctor.Check]) -> tuple[Plan | None, str]:
    """The plan for this kernel; without one why there is none, "" where a check tells."""
    if not _all_needed(found):
        return None, ""
    try:
        return make_plan(doctor.offer()), ""
    except TracerError as error:
        return None, str(error)


def _all_needed(found: list[doctor.Check]) -> bool:
    return all(check.ok for check in found if check.needed)


def _records(found: list[doctor.Check], refusal: str) -> Ability:
    missing = [check.name for check in found if check.needed and not check.ok]
    if missing:
        return Ability(False, f"missing: {', '.join(missing)}")
    return Ability(not refusal, refusal or "tracer record, with the plan below")


def _reads() -> Ability:
    """Whether what reports and comparisons import is installed; it is not imported."""
    missing = [name for name in READERS if find_spec(name) is None]
    if missing:
        return Ability(False, f"this Python lacks {', '.join(missing)}: install tracer with pip")
    return Ability(True, "tracer report, compare and export, of recordings made anywhere")


def _starts_lab() -> Ability:
    try:
        version = ready.kernel()
    except TracerError as error:
        return Ability(False, f"{error.why}; {error.todo}")
    return Ability(True, f"tracer lab -- COMMAND, with kernel {version} and msgchan")


def _print(works: dict[str, Ability], found: list[doctor.Check], plan: Plan | None) -> None:
    # Late: --json needs none of it.
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    for what, ability in works.items():
        line = f"{what:8}{'yes' if ability.ok else 'no'}: {ability.why}"
        console.print(line, markup=False)
    console.print()
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
    from rich.table import Column, Table

    return Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False)
