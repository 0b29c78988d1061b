# SPDX-License-Identifier: GPL-2.0-or-later
"""The directories for the files of the lab's runs, and the removal of old ones."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

#: How many runs' files are kept, this one's included. Those of machines that still run are
#: never removed.
KEPT = 50
# The names that working_directory makes. Other files that a user put there are not removed.
_NAME = re.compile(r"\d{8}-\d{6}-\w+")


@contextlib.contextmanager
def working_directory(runs: Path) -> Iterator[Path]:
    """A fresh directory under ``runs``/lab for the files of one run.

    All but the newest ``KEPT`` runs are removed, except those whose machine still runs: such
    a run holds a lock on its directory, which the kernel drops when the process ends.
    """
    lab = runs / "lab"
    lab.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        # Lock the parent meanwhile, so that no other lab finds this directory before it is locked.
        with _locked(lab, fcntl.LOCK_EX):
            directory = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=lab))
            held.enter_context(_locked(directory, fcntl.LOCK_EX))
            _prune(lab)
        yield directory


def _prune(lab: Path) -> None:
    """Remove the oldest runs; leave those that are in use or cannot be removed."""
    runs = sorted(found for found in lab.iterdir() if _NAME.fullmatch(found.name))
    for directory in runs[:-KEPT]:
        with contextlib.suppress(OSError), _locked(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path, operation: int) -> Iterator[None]:
    """Hold a lock on a directory; with LOCK_NB, BlockingIOError if another process holds it."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, operation)
        yield
    finally:
        os.close(fd)
