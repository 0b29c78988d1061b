# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom the module's relay of ``_copy_to_user`` reports: the parameter ``relay_tgid`` of msgchan.

One short list serves all recorders of the machine, so each change is made under a lock,
and drops the processes that have ended: no living recorder lacks them.
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
    """Have the copies of a process and its descendants reported.

    Raises :class:`TracerError` when the list is full.
    """
    _change(lambda listed: listed | {tgid})


def dismiss(tgids: set[int]) -> None:
    """Report processes no more, but for those that another living recorder wants."""
    others = [path for path in spool.in_use() if spool.recorder(path) != os.getpid()]
    wanted = set[int]().union(*(spool.relayed(path) for path in others))
    _change(lambda listed: listed - (tgids - wanted))


def listed() -> set[int]:
    """The processes in the list; none without the module."""
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
    """Whether there is such a process."""
    return Path(f"/proc/{tgid}").exists()


def _parsed(text: str) -> set[int]:
    return {int(tgid) for tgid in text.strip().split(",") if tgid}
