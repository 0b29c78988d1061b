# SPDX-License-Identifier: GPL-2.0-or-later
"""Say what takes long while it does: a spinner on a terminal, plain lines without one.

Everything goes to stderr, because stdout belongs to results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tell that ``what`` is being done, and at the end how many seconds it took.

    A step that raises says so and lets the exception pass.
    """
    started = time.monotonic()
    console = Console(stderr=True, highlight=False)
    outcome = "failed"
    try:
        if console.is_terminal:
            with console.status(f"{what} …"):
                yield
        else:
            note(f"{what} ...")
            yield
        outcome = "done"
    finally:
        note(f"{what}: {outcome} ({time.monotonic() - started:.1f} s)")


def note(text: str) -> None:
    """One line to stderr, at once; for what prints while it runs, where a spinner will not do."""
    print(text, file=sys.stderr, flush=True)
