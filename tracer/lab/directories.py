# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the files of a lab's run are, and which earlier runs make room for it."""

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

#: Runs whose files are kept, this one included; those of machines that still run come on top.
KEPT = 50
# As working_directory names them; whatever else somebody put there is not ours to remove.
_NAME = re.compile(r"\d{8}-\d{6}-\w+")


@contextlib.contextmanager
def working_directory(runs: Path) -> Iterator[Path]:
    """A fresh directory under ``runs``/lab for the files of one run.

    The oldest runs beyond the newest ``KEPT`` are removed, but none whose machine still runs:
    its directory is locked, and the kernel gives the lock up with the process.
    """
    lab = runs / "lab"
    lab.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        # Machines that start at once take turns: none meets a directory not locked yet.
        with _locked(lab, fcntl.LOCK_EX):
            directory = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=lab))
            held.enter_context(_locked(directory, fcntl.LOCK_EX))
            _prune(lab)
        yield directory


def _prune(lab: Path) -> None:
    """Remove what is beyond the newest; what is in use or may not be removed stays."""
    runs = sorted(found for found in lab.iterdir() if _NAME.fullmatch(found.name))
    for directory in runs[:-KEPT]:
        with contextlib.suppress(OSError), _locked(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path, operation: int) -> Iterator[None]:
    """Hold a lock on a directory; BlockingIOError when another process does (LOCK_NB)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, operation)
        yield
    finally:
        os.close(fd)
