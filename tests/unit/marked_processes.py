# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the processes that a test's program started, and theirs, wherever they went."""

from __future__ import annotations

import time
from pathlib import Path

#: What must happen in time; nothing waits so long when all is well.
DEADLINE = 300.0


def processes_with(mark: str) -> list[str]:
    """The command lines of the live processes that were executed with ``mark`` in the environment.

    ``mark`` is NAME=value.
    """
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environ.read_bytes().split(b"\0"):
                found.append(environ.parent.joinpath("cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


def seconds_until_gone(mark: str) -> float:
    """Wait until no process carries the mark; AssertionError after :data:`DEADLINE`."""
    begin = time.monotonic()
    while left := processes_with(mark):
        assert time.monotonic() - begin < DEADLINE, left
        time.sleep(0.01)
    return time.monotonic() - begin
