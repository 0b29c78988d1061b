# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer compare``: did it become slower, which stage, and how sure is that?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.cli.progress import step
from tracer.compare.conditions import CONDITIONS
from tracer.correlate.stages import STAGES
from tracer.errors import TracerError

if TYPE_CHECKING:
    from rich.console import Console

    from tracer.compare.digest import Digest

PLAIN_WIDTH = 110


@click.command(name="compare")
@click.argument("directories", type=click.Path(path_type=Path), nargs=-1, metavar="[BASE] NEW...")
@click.option(
    "--base", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
    help="A recording of the base side; may be repeated. All arguments are then NEW.",
)  # fmt: skip
@click.option(
    "--stage", "stages", multiple=True, type=click.Choice([*STAGES, "unexplained", "total"]),
    metavar="STAGE", help="Only this stage, which must then be settled; may be repeated.",
)  # fmt: skip
@click.option(
    "--type", "types", multiple=True, metavar="TYPE",
    help="Only this channel (netlink) or name (msgchan echo); may be repeated.",
)  # fmt: skip
@click.option(
    "--min-effect", type=click.FloatRange(0), default=2.0, show_default=True, metavar="PERCENT",
    help="Changes below this share of the base do not matter ...",
)  # fmt: skip
@click.option(
    "--min-effect-ns", type=click.IntRange(1), default=100, show_default=True, metavar="NS",
    help="... nor do those below this; the larger of both counts.",
)  # fmt: skip
@click.option(
    "--false-alarms", type=click.FloatRange(0.001, 0.2), default=0.01, show_default=True,
    metavar="SHARE", help="How often like sides may be told apart, all lines together.",
)  # fmt: skip
@click.option(
    "--allow", multiple=True, type=click.Choice(CONDITIONS), metavar="WHAT",
    help=f"Compare although this differs: {', '.join(CONDITIONS)}; may be repeated.",
)  # fmt: skip
@click.option(
    "--full", is_flag=True,
    help="List every line, those too that are not settled, decide nothing and were not asked for.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    directories: tuple[Path, ...],
    base: tuple[Path, ...],
    stages: tuple[str, ...],
    types: tuple[str, ...],
    min_effect: float,
    min_effect_ns: int,
    false_alarms: float,
    allow: tuple[str, ...],
    full: bool,
    as_json: bool,
) -> None:
    """Compare recordings: the change of every stage, with how sure it is.

    BASE and NEW are recordings, or directories that hold several. The run is the
    replicate: on a wall clock give at least 5 runs a side, better 10, recorded
    in turn (base, new, base, new); on the deterministic clock one a side will do.

    Printed is what was asked for (--stage, --type), what decides and what is settled;
    of the other lines only how many there are, unless --full is given.

    Exit status 0: same or faster. 1: slower. 3: inconclusive.

    \b
    Example:
      tracer compare runs/before runs/after
      tracer compare --base runs/a1 --base runs/a2 runs/b1 runs/b2
      tracer compare runs/base-runs runs/new-runs --stage handler --min-effect 5 --json
    """
    sides = _sides(base, directories)
    from tracer.compare import Options, compare_digests
    from tracer.report.comparison import render, summary

    options = Options(
        min_effect=min_effect / 100,
        min_effect_ns=min_effect_ns,
        false_alarms=false_alarms,
        stages=stages,
        types=types,
        allow=frozenset(allow),
    )
    with step(f"reading {len(sides[0])} and {len(sides[1])} recordings"):
        digests = [_read(side) for side in sides]
    comparison = compare_digests(digests[0], digests[1], options)
    if as_json:
        click.echo(json.dumps(summary(comparison), indent=1, allow_nan=False))
    else:
        render(comparison, _console(), full)
    ctx.exit(comparison.exit_status)


def _sides(base: tuple[Path, ...], directories: tuple[Path, ...]) -> list[list[Path]]:
    """The recordings of both sides, each of them there and named once."""
    if not base:
        if len(directories) < 2:
            raise click.UsageError("give BASE and at least one NEW, or --base DIR and NEW")
        base, directories = directories[:1], directories[1:]
    elif not directories:
        raise click.UsageError("give at least one NEW after --base DIR")
    sides = [recordings(base), recordings(directories)]
    _require_distinct([*sides[0], *sides[1]])
    return sides


def _console() -> Console:
    """The terminal as wide as it is; a pipe or a file of a width that cuts nothing."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def recordings(directories: Sequence[Path]) -> list[Path]:
    """The recordings that are meant: the directories themselves, or those directly inside them.

    Raises :class:`TracerError` for a directory that neither is nor contains a recording.
    """
    from tracer.recording import META_NAME

    found: list[Path] = []
    for directory in directories:
        inside = sorted(meta.parent for meta in directory.glob(f"*/{META_NAME}"))
        if (directory / META_NAME).exists():
            found.append(directory)
        elif inside:
            found += inside
        else:
            raise TracerError(
                f"cannot compare {directory}",
                "it is no recording and holds none" if directory.is_dir() else "no such directory",
                "give the directory that `tracer record -o` wrote, or one that holds several",
            )
    return found


def _require_distinct(paths: Sequence[Path]) -> None:
    seen = set()
    for path in paths:
        if path.resolve() in seen:
            raise TracerError(
                "cannot compare", f"{path} is given twice", "name every recording once"
            )
        seen.add(path.resolve())


def _read(paths: Sequence[Path]) -> list[Digest]:
    """Reduce the runs to digests one by one, so that only one run is in memory at a time."""
    from tracer.compare.digest import digest
    from tracer.run import load

    return [digest(load(path)) for path in paths]
