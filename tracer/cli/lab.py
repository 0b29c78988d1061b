# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer lab``: run a command as root in a virtual machine."""

from __future__ import annotations

from pathlib import Path

import click

from tracer.cli import OUTPUT_CLOSED
from tracer.cli.progress import note, step
from tracer.lab import directories, kernels, kvm, session, vm
from tracer.resources import runs_directory


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--kernel", metavar="VERSION", help="An installed kernel; the newest by default.")
@click.option(
    "--deterministic",
    is_flag=True,
    help="One CPU whose clock counts instructions, all seeds fixed.",
)
@click.option("--cpus", type=click.IntRange(1), help="2 by default, 1 with --deterministic.")
@click.option(
    "--memory", default="2G", show_default=True, metavar="SIZE", help="The guest's memory."
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=900,
    show_default=True,
    metavar="SECONDS",
    help="Give up after that long, boot included, by the host's clock.",
)
@click.option("--no-module", is_flag=True, help="Do not build and load msgchan.")
@click.argument("argv", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context,
    kernel: str | None,
    deterministic: bool,
    cpus: int | None,
    memory: str,
    timeout: float,
    no_module: bool,
    argv: tuple[str, ...],
) -> None:
    """Run COMMAND as root in a virtual machine, in the current directory.

    The guest boots an installed Debian kernel on this machine's files. It cannot change
    them: what it writes is lost, except below runs/. msgchan is built for that kernel
    and loaded. Standard output and error are passed through, standard input only if it
    is a terminal. Of the environment only COLUMNS is passed on.

    Exit status: COMMAND's own (128+n for a signal); 124 on timeout; 1 when COMMAND
    succeeded but the guest's kernel logged a warning or an oops, or died; 2 when
    the machine could not be started.

    \b
    Example:
      tracer lab -- uname -r
      tracer lab -- env NAME=value ./program
      tracer lab --deterministic -- tracer record -o runs/one -- tracer drive --channel all
    """
    if deterministic and cpus not in (None, 1):
        raise click.UsageError(f"--deterministic needs one CPU, not {cpus}")
    version = kernels.choose(kernel)
    module = None if no_module else _build(version)
    runs = runs_directory()
    with directories.working_directory(runs) as directory:
        machine = _machine(version, cpus, memory, deterministic, runs, directory)
        note(f"lab: booting {version} ({'KVM' if machine.kvm else 'emulated'}) for {argv[0]}")
        try:
            outcome = session.run_command(machine, directory, argv, module, timeout)
        except vm.OutputClosedError:
            ctx.exit(OUTPUT_CLOSED)
    for line in outcome.notes:
        note(f"lab: {line}")
    ctx.exit(outcome.status)


def _machine(
    version: str, cpus: int | None, memory: str, deterministic: bool, runs: Path, directory: Path
) -> vm.Machine:
    """The machine that was asked for; its console is kept in ``directory``."""
    image = kernels.image(version)
    return vm.Machine(
        image=image,
        cpus=cpus or (1 if deterministic else 2),
        memory=memory,
        # Only the emulator can count instructions, so this clock excludes KVM.
        kvm=not deterministic and kvm.usable(image),
        deterministic=deterministic,
        shared=runs,
        console=directory / "console.log",
    )


def _build(version: str) -> Path:
    from tracer.module.build import build

    return build(version, step)
