# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``tracer``: one file per subcommand, each imported only when it is called.

Exit statuses: 0 success, 1 a finding, such as a regression or an untrusted recording, 2 misuse or
an unfit machine, 3 inconclusive, 130 interrupted by Ctrl-C, 141 the reader of the output (such
as ``head``) went away.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import click

from tracer import __version__
from tracer.errors import TracerError

COMMANDS = {
    "doctor": "Tell what this kernel lets us observe, and what would mend the rest.",
    "kmod": "Build, load, unload or inspect the module msgchan.",
    "drive": "Send a known workload over the module's channels.",
    "record": "Record the messages of a command or of a process.",
    "report": "Print the stages, sizes and ledger of a recording.",
    "compare": "Tell whether recordings became slower, where, and how sure that is.",
    "export": "Write a recording as a Perfetto trace, CSV or Parquet.",
    "lab": "Run a command as root in a virtual machine with the module loaded.",
}
INTERRUPTED = 130
OUTPUT_CLOSED = 141


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and prints errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, importlib.import_module(f"tracer.cli.{cmd_name}").command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """The same as click's, but a misuse is reported in one line."""
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        _write_whole()
        # At its end the interpreter collects garbage among all that was imported, which is of no
        # use to a process that ends; frozen objects are left out.
        atexit.register(gc.freeze)
        try:
            status: object = run()
        except click.exceptions.NoArgsIsHelpError as misuse:
            misuse.show()
            sys.exit(misuse.exit_code)
        except click.ClickException as misuse:
            _complain(_describe(misuse))
            sys.exit(misuse.exit_code)
        except click.Abort:
            _complain("interrupted")
            sys.exit(INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn any exception into one line and an exit status."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # The interpreter flushes stdout once more at exit, which would fail again: let that
            # go to /dev/null.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(OUTPUT_CLOSED)
        except KeyboardInterrupt:
            _complain("interrupted")
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params["debug"]:
                raise
            if isinstance(error, TracerError):
                _complain(str(error))
                ctx.exit(error.exit_status)
            _complain(f"{type(error).__name__}: {error}; see where with tracer --debug")
            ctx.exit(TracerError.exit_status)


def _write_whole() -> None:
    """Give stdout a buffer that is flushed with every line, if PYTHONUNBUFFERED has removed it.

    Without a buffer Python ignores that a write(2) may write only a part of the text, and loses
    the rest silently (python/cpython#86210). Then a command whose reader goes away in the middle
    of a write would end with status 0.
    """
    raw = getattr(sys.stdout, "buffer", None)
    if isinstance(raw, io.RawIOBase):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw), sys.stdout.encoding, sys.stdout.errors, line_buffering=True
        )


def _complain(text: str) -> None:
    click.echo(f"error: {' '.join(text.split())}", err=True)


def _describe(misuse: click.ClickException) -> str:
    text = misuse.format_message().rstrip(".")
    ctx = misuse.ctx if isinstance(misuse, click.UsageError) else None
    return f"{ctx.command_path}: {text}; see {ctx.command_path} --help" if ctx else text


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tracer")
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
def main(debug: bool) -> None:
    """Follow messages between user space and the Linux kernel.

    \b
    Example:
      tracer lab -- tracer record -o runs/first -- tracer drive --channel all --count 500
      tracer report runs/first
    """
