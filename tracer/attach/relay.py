# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of processes whose copies the module's relay reports: its parameter ``relay_tgid``.

All recorders of the machine share this list of at most 16 processes. So each change is made
under a lock, and also removes the processes that have ended.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from tracer.clients import spool
from tracer.errors import TracerError

FILTER = Path("/sys/module/msgchan/parameters/relay_tgid")


def enlist(tgid: int) -> None:
    """Add a process: the relay then reports its copies and those of its descendants.

    Raises :class:`TracerError` when the list is full or msgchan is not loaded.
    """
    _change(lambda listed: listed | {tgid})


def dismiss(tgids: set[int]) -> None:
    """Remove processes from the list, except those that another living recorder has added.

    Raises :class:`TracerError` when msgchan is not loaded.
    """
    others = [path for path in spool.in_use() if spool.recorder(path) != os.getpid()]
    wanted = set[int]().union(*(spool.relayed(path) for path in others))
    _change(lambda listed: listed - (tgids - wanted))


def listed() -> set[int]:
    """The ids of the processes in the list; empty if msgchan is not loaded."""
    try:
        return _parsed(FILTER.read_text())
    except OSError:
        return set()


def _change(change: Callable[[set[int]], set[int]]) -> None:
    try:
        with FILTER.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            wanted = {tgid for tgid in change(_parsed(file.read())) if running(tgid)}
            file.seek(0)
            file.write(",".join(map(str, sorted(wanted))) + "\n")
    except OSError as error:
        raise TracerError(
            "cannot tell msgchan's relay whom to report",
            f"{FILTER}: {error.strerror}",
            "end other recordings that use --copy relay: it takes 16 processes",
        ) from error


def running(tgid: int) -> bool:
    """Whether a process with this id exists."""
    return Path(f"/proc/{tgid}").exists()


def _parsed(text: str) -> set[int]:
    return {int(tgid) for tgid in text.strip().split(",") if tgid}
