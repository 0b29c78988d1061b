# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer drive``: send a known workload over the module's channels."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from tracer.cli.duration import Duration
from tracer.clients.workload import CHANNELS, OPS, Workload

if TYPE_CHECKING:
    from tracer.clients.drive import Outcome


@click.command(name="drive")
@click.option(
    "--channel",
    type=click.Choice([*CHANNELS, "all"]),
    default="all",
    show_default=True,
    help="What to drive; sockopt does a set and a get per count.",
)
@click.option(
    "--count", type=click.IntRange(min=1), default=1000, show_default=True,
    help="Requests per thread and channel.",
)  # fmt: skip
@click.option(
    "--size", type=int, default=64, show_default=True, help="Payload of a request, in bytes."
)
@click.option("--reply-size", type=int, help="Payload asked for in a reply; default: --size.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads per channel.")
@click.option(
    "--rate", type=float, metavar="PER_SECOND",
    help="Requests a second and thread, at fixed times; default: each after the last one.",
)  # fmt: skip
@click.option(
    "--handler-delay",
    type=Duration(),
    default="0",
    help="Busy-wait in the handler, such as 50us; at most 10ms.",
)
@click.option(
    "--reply-delay", type=Duration(), default="0", help="Busy-wait before a netlink reply."
)
@click.option("--copy-delay", type=Duration(), default="0", help="Busy-wait in the copy of a get.")
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="Number from which all tokens and payloads are computed.",
)
@click.option(
    "--op", type=click.Choice(list(OPS)), default="echo", show_default=True,
    help="What the module does with a request.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    channel: str,
    count: int,
    size: int,
    reply_size: int | None,
    threads: int,
    rate: float | None,
    handler_delay: int,
    reply_delay: int,
    copy_delay: int,
    seed: int,
    op: str,
    as_json: bool,
) -> None:
    """Send a known workload over the module's channels.

    Needs root, and msgchan loaded; both are so in 'tracer lab'. The seed determines
    every payload, so every reply is compared with the expected one; the column 'wrong'
    counts those that differ. The latencies are those of the calls. With --rate, one more
    column shows how much later than intended the calls began. With a delay, a second
    table shows how long the module really waited; its replies report that (setsockopt,
    and a sink over netlink, have none). Exit status 1: a request failed, a reply was wrong.

    \b
    Example:
      sudo .venv/bin/tracer drive --channel netlink --count 10007 --size 100
      sudo .venv/bin/tracer drive --count 997 --rate 500 --handler-delay 50us
    """
    from tracer.clients.drive import drive

    workload = Workload(
        channels=CHANNELS if channel == "all" else (channel,),
        count=count,
        size=size,
        reply_size=reply_size,
        threads=threads,
        rate=rate,
        handler_delay_ns=handler_delay,
        reply_delay_ns=reply_delay,
        copy_delay_ns=copy_delay,
        seed=seed,
        op=op,
    )
    outcomes = drive(workload)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=1))
    else:
        _print(outcomes, is_paced=rate is not None)
    ctx.exit(int(any(outcome.errors or outcome.mismatches for outcome in outcomes)))


def _print(outcomes: list[Outcome], is_paced: bool) -> None:
    head = ["channel", "requests", "errors", "wrong", "seconds", "p50 µs", "p99 µs", "max µs"]
    rows = []
    for outcome in outcomes:
        times = [outcome.p50_ns, outcome.p99_ns, outcome.max_ns]
        times += [outcome.late_p99_ns] * is_paced
        counts = (outcome.requests, outcome.errors, outcome.mismatches)
        rows.append(
            [
                outcome.channel,
                *(f"{count:,}" for count in counts),
                f"{outcome.seconds:.3f}",
                *(f"{ns / 1000:,.1f}" for ns in times),
            ]
        )
    _print_table(head + ["late p99 µs"] * is_paced, rows)
    _print_waits(outcomes)
    for outcome in outcomes:
        if outcome.first_error:
            click.echo(f"{outcome.channel}: first error: {outcome.first_error}")


def _print_waits(outcomes: list[Outcome]) -> None:
    """Print how long the module really waited, for the delays that were requested."""
    rows = []
    for outcome in outcomes:
        for wait in outcome.waits:
            if wait.asked_ns:
                times = (wait.asked_ns, wait.p50_ns, wait.min_ns, wait.max_ns)
                rows.append([outcome.channel, wait.stage, *(f"{ns:,}" for ns in times)])
    if rows:
        click.echo()
        head = ["channel", "delay", "asked ns", "waited p50 ns", "min ns", "max ns"]
        _print_table(head, rows, names=2)


def _print_table(head: list[str], rows: list[list[str]], names: int = 1) -> None:
    """Print columns: the first ``names`` hold names, the others numbers, aligned to the right.

    It does not take rich, whose import takes longer than a short workload.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [cell.ljust(w) for cell, w in zip(row[:names], widths, strict=False)]
        cells += [cell.rjust(w) for cell, w in zip(row[names:], widths[names:], strict=True)]
        click.echo("  ".join(cells))
