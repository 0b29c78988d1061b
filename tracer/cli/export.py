# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer export``: a recording in the formats of other programs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.cli.duration import Duration
from tracer.cli.progress import note, step
from tracer.output import write_whole

if TYPE_CHECKING:
    from tracer.export.window import Part
    from tracer.run import Run

FORMATS = ("perfetto", "csv", "parquet")
#: From so many events on it takes seconds, and the command tells what it is doing.
LONG = 200_000


@click.command(name="export")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(FORMATS), required=True,
    help="A timeline for ui.perfetto.dev, or the exchanges as a table.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True,
    metavar="FILE", help="The file to write; one that exists is replaced.",
)  # fmt: skip
@click.option(
    "--raw", is_flag=True,
    help="csv: keep texts as they were recorded, even if a spreadsheet takes them for formulas.",
)  # fmt: skip
@click.option(
    "--from", "begin", type=Duration(), metavar="TIME",
    help="Only what is under way at this time or later, such as 1.5s.",
)  # fmt: skip
@click.option(
    "--to", "end", type=Duration(), metavar="TIME",
    help="Only what began before this time, such as 1700ms.",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    directory: Path,
    form: str,
    output: Path,
    raw: bool,
    begin: int | None,
    end: int | None,
) -> None:
    """Write the recording in DIRECTORY as one file in another format.

    perfetto is a timeline in the trace-event format: processes with their threads
    and sockets, and arrows from each request to its reply. A FILE whose name ends in
    .gz is compressed; ui.perfetto.dev opens it too. csv and parquet hold
    one row per exchange, with the columns of run.exchanges (docs/frames.md). In csv a
    text that begins like a formula (= + - @) gets a ' before it, and control characters
    are escaped; with --raw neither is done.

    --from and --to count from the start of the first exchange, as 'tracer report' does.
    An exchange that is only partly between them is kept whole.

    parquet also contains the recording's meta.json, and so the command line. A
    recording is readable by its owner only; FILE gets the rights that your umask gives.

    Exit status 1: the recording is not trusted, the file is written even then; 2: nothing
    lies between --from and --to.

    \b
    Example:
      tracer export runs/first --format perfetto -o first.json.gz
      tracer export runs/first --format perfetto -o part.json --from 1.5s --to 1700ms
      tracer export runs/first --format parquet -o first.parquet
    """
    if raw and form != "csv":
        raise click.UsageError(f"--raw is for csv; {form} holds texts as they were recorded")
    if form != "perfetto" and output.suffix == ".gz":
        raise click.UsageError(f"only perfetto is compressed; name the {form} file without .gz")
    if begin is not None and end is not None and begin >= end:
        raise click.UsageError("the window is empty: --from must be before --to")
    from tracer.run import load
    from tracer.tables import reasons

    run = load(directory)
    with step(f"writing {output}") if len(run.events) >= LONG else nullcontext():
        told = _write(run, form, output, raw, begin, end)
    note(f"{output}: {told}")
    if not run.trusted:
        for reason in reasons(run):
            note(f"untrusted: {reason}")
        ctx.exit(1)


def _write(run: Run, form: str, output: Path, raw: bool, begin: int | None, end: int | None) -> str:
    """Write the file, and say what is in it."""
    from tracer.export import perfetto, table
    from tracer.export.window import cut

    part: Run | Part = run if begin is None and end is None else cut(run, begin, end)
    if form == "perfetto":
        counts: dict[str, int] = {}
        compress = output.suffix == ".gz"
        write_whole(
            output, lambda file: counts.update(perfetto.write(part, file, compress=compress))
        )
        return ", ".join(f"{what} {count:,}" for what, count in counts.items())
    if form == "csv":
        write_whole(output, lambda file: table.write_csv(part, file, raw=raw))
    else:
        write_whole(output, lambda file: table.write_parquet(part, file))
    return f"{len(part.exchanges):,} exchanges"
