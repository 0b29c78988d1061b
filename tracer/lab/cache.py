# SPDX-License-Identifier: GPL-2.0-or-later
"""What emulated guests keep for the guests after them: compiled probes, and the compiled pass.

In an emulated guest it takes half a minute to compile the probes, and half an hour to compile the
pass over the records (`tracer.correlate.onepass`). So they lie in the directory that the guest
shares with the host. The host compiles the pass in seconds, if asked to, by ``python -m
tracer.lab.cache``: for the oldest CPU of this architecture, because the guest's is not the host's.

Deterministic guests have no part in it: to be the same in each boot, they start without a cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tracer.resources import COMPILED_VARIABLE, runs_directory

#: For numba: code for every x86-64 CPU.
_ANY_CPU = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def environment(runs: Path) -> dict[str, str]:
    """The variables by which programs in a guest that shares ``runs`` find compiled code."""
    return {COMPILED_VARIABLE: str(runs.resolve() / "lab" / "compiled"), **_ANY_CPU}


def fill(runs: Path) -> None:
    """Compile the pass for guests that share ``runs``, unless that has been done.

    Raises ``CalledProcessError`` when that fails; the program has said why.
    """
    command = [sys.executable, "-m", "tracer.correlate.onepass.ahead"]
    subprocess.run(command, env={**os.environ, **environment(runs)}, check=True)


if __name__ == "__main__":
    fill(runs_directory())
