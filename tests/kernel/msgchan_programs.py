# SPDX-License-Identifier: GPL-2.0-or-later
"""The C programs beside the tests, compiled where they run."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import tempfile
from pathlib import Path

from tracer.resources import source_dir

_SOURCES = Path(__file__).parent / "programs"


@functools.cache
def _directory() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="msgchan-")
    os.chmod(directory.name, 0o755)  # some run them as nobody
    atexit.register(directory.cleanup)
    return Path(directory.name)


@functools.cache
def compiled(name: str) -> Path:
    """The program of programs/NAME.c; warnings are off, as the seeds stand as they stand."""
    program = _directory() / name
    command = ["gcc", "-w", "-pthread", "-I", source_dir("kmod"), "-o", program]
    subprocess.run([*command, _SOURCES / f"{name}.c"], check=True)
    return program
