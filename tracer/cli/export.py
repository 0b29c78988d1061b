# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer export``: a recording in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

import click

from tracer.cli.progress import note
from tracer.output import write_whole

FORMATS = ("perfetto", "csv", "parquet")


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
@click.pass_context
def command(ctx: click.Context, directory: Path, form: str, output: Path, raw: bool) -> None:
    """Write the recording in DIRECTORY as one file in another format.

    perfetto is a timeline in the trace-event format: processes with their threads
    and sockets, and arrows from each request to its reply. csv and parquet hold
    one row per exchange, with the columns of run.exchanges (docs/frames.md). In csv a
    text that begins like a formula (= + - @) gets a ' before it, and control characters
    are escaped; with --raw neither is done.

    parquet also contains the recording's meta.json, and so the command line. A
    recording is readable by its owner only; FILE gets the rights that your umask gives.

    Exit status 1 when the recording is not trusted; the file is written even then.

    \b
    Example:
      tracer export runs/first --format perfetto -o first.json
      tracer export runs/first --format parquet -o first.parquet
    """
    if raw and form != "csv":
        raise click.UsageError(f"--raw is for csv; {form} holds texts as they were recorded")
    from tracer.export import perfetto, table
    from tracer.run import load
    from tracer.tables import reasons

    run = load(directory)
    if form == "perfetto":
        counts: dict[str, int] = {}
        write_whole(output, lambda part: counts.update(perfetto.write(run, part)))
        told = ", ".join(f"{what} {count:,}" for what, count in counts.items())
        note(f"{output}: {told}")
    else:
        if form == "csv":
            write_whole(output, lambda part: table.write_csv(run, part, raw=raw))
        else:
            write_whole(output, lambda part: table.write_parquet(run, part))
        note(f"{output}: {len(run.exchanges):,} exchanges")
    if not run.trusted:
        for reason in reasons(run):
            note(f"untrusted: {reason}")
        ctx.exit(1)
