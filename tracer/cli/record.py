# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer record``: record the messages of a command or of a process into a directory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from tracer.attach import doctor
from tracer.attach.ring_size import require_ring_size
from tracer.cli.progress import note, step
from tracer.lab.session import shared_directory

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(click.ParamType[int]):
    """A number of bytes: 65536, 512K, 16M, 1G."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Bytes as an integer."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+)([KMG]?)", str(value))
        if not found:
            self.fail(f"{value!r} is no size such as 64K or 16M", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "-o",
    "--output",
    "path",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The recording's directory; new or empty.",
)
@click.option(
    "-p",
    "--pid",
    type=click.IntRange(1),
    metavar="PID",
    help="Record a running process, with the children that it has and those to come.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="End after that long; a command is then asked to end (SIGTERM).",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file to create when everything is attached, for scripts that wait.",
)
@click.option(
    "--ring-size",
    type=Size(),
    default="16M",
    show_default=True,
    metavar="BYTES",
    help="Size of the buffer between probes and recorder; a power of two.",
)
@click.option(
    "--attach",
    type=click.Choice(["auto", "fentry", "kprobe"]),
    default="auto",
    show_default=True,
    help="How to hook kernel functions; auto: the cheapest that works.",
)
@click.option(
    "--copy",
    type=click.Choice(["auto", "module_tracepoint", "relay", "breakpoint", "absent"]),
    default="auto",
    show_default=True,
    help="Where to see the copy of a socket option's value. auto: msgchan's own options only, "
    "without msgchan the breakpoint; relay: all, through msgchan; breakpoint: all, begin only.",
)
@click.argument("argv", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context,
    path: Path,
    pid: int | None,
    duration: float | None,
    ready_file: Path | None,
    ring_size: int,
    attach: str,
    copy: str,
    argv: tuple[str, ...],
) -> None:
    """Record the messages of COMMAND, or of process PID, into DIR.

    The processes that COMMAND starts are recorded too. Needs root; 'tracer doctor' tells
    what else. Ctrl-C ends a recording cleanly.

    Exit status: COMMAND's own (128+n for a signal) unless recording fails; 1 when
    COMMAND succeeded but the recording is not trusted, because a line of its ledger
    does not balance; 2 when nothing can be recorded.

    \b
    Example:
      tracer record -o runs/one -- tracer drive --channel all --count 500
      tracer record -o runs/two -p 4242 --duration 10
    """
    if bool(argv) == (pid is not None):
        raise click.UsageError("give either a command after -- or a process with -p")
    require_ring_size(ring_size)
    # Check before importing BCC, because BCC may be what is missing.
    doctor.require()
    from tracer.recorder.record import record_command, record_process
    from tracer.recorder.session import Options

    options = Options(attach=attach, copy=copy, ring=ring_size)

    def record(ready: Callable[[], None]) -> int:
        if pid is None:
            return record_command(path, argv, options, duration=duration, ready=ready)
        record_process(path, pid, options, duration=duration, ready=ready)
        return 0

    _warn_if_lost(path)
    status = _in_two_steps(path, ready_file, record)
    ctx.exit(status or _verdict(path))


def _warn_if_lost(path: Path) -> None:
    """Warn if the recording will be lost with the lab's guest.

    It is not refused, because a program in the same guest may read it before that ends.
    """
    shared = shared_directory()
    if shared and not path.resolve().is_relative_to(shared):
        note(f"warning: {path} is lost when the lab's guest ends; it keeps what is below {shared}")


def _in_two_steps(
    path: Path, ready_file: Path | None, record: Callable[[Callable[[], None]], int]
) -> int:
    """Call ``record`` and show its two steps: attaching the probes, and recording.

    ``record`` is given the function that it must call between the two. The second step is shown
    in plain lines, because the recorded command prints meanwhile.
    """
    started: float | None = None
    outcome = "failed"

    def ready() -> None:
        nonlocal started
        attaching.close()
        started = time.monotonic()
        note(f"recording into {path} ...")
        if ready_file is not None:
            ready_file.touch()

    try:
        with ExitStack() as attaching:
            attaching.enter_context(step("attaching"))
            status = record(ready)
        outcome = "done"
    finally:
        if started is not None:
            note(f"recording: {outcome} ({time.monotonic() - started:.1f} s)")
    return status


def _verdict(path: Path) -> int:
    """0 if the recording is trusted; else 1, and a line for each reason is printed."""
    from tracer.run import load
    from tracer.units import count_text

    run = load(path)
    note(f"{len(run.events)} events, {len(run.exchanges)} exchanges")
    if run.events.empty:
        note(
            "nothing was observed: perhaps another process sends, such as a daemon, "
            "or it goes through io_uring, which is not observed"
        )
    wrong = run.ledger[~run.ledger["ok"]]
    for line in wrong.itertuples():
        note(
            f"does not balance: {line.line}: {count_text(line.count)} by {line.witness}, "
            f"{count_text(line.other)} by {line.against}" + (f" ({line.note})" if line.note else "")
        )
    return int(not wrong.empty)
