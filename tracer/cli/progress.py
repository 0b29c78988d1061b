# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows progress while something takes long: a spinner on a terminal, plain lines elsewhere.

Everything goes to stderr, because stdout is for results.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show that ``what`` is being done, and at the end how many seconds it took.

    If the block raises, show that it failed, and let the exception pass.
    """
    started = time.monotonic()
    terminal = _terminal()
    outcome = "failed"
    try:
        if terminal:
            with terminal.status(f"{what} …"):
                yield
        else:
            note(f"{what} ...")
            yield
        outcome = "done"
    finally:
        note(f"{what}: {outcome} ({time.monotonic() - started:.1f} s)")


def _terminal() -> Console | None:
    """The terminal at stderr; None if there is none."""
    if not sys.stderr.isatty() and not {"FORCE_COLOR", "TTY_COMPATIBLE"} & os.environ.keys():
        return None
    # Late: it takes as long to import as the rest of the command, and only a terminal needs it.
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else None


def note(text: str) -> None:
    """Print one line to stderr, instead of a spinner, for a step that prints while it runs."""
    print(text, file=sys.stderr, flush=True)
