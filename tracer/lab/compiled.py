# SPDX-License-Identifier: GPL-2.0-or-later
"""Where emulated guests find compiled code: the probes, and the pass over the records.

A guest's files are gone when it ends, and compiling takes long where the processor is emulated. So
guests keep the compiled probes in the directory that they share with the host, for the guests after
them. The pass (`tracer.correlate.onepass`) takes so long that none compiles it: the host does, when
``python -m tracer.lab.compiled`` is called, for every x86-64 CPU, since the guest has another.

Deterministic guests have no part in this: to be the same in each boot, they find nothing compiled.
With KVM compiling is fast.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tracer.lab import kernels, kvm
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


def main() -> None:
    """Compile the pass, if this machine's guests are emulated."""
    if not kvm.usable(kernels.image(kernels.choose(None))):
        fill(runs_directory())


if __name__ == "__main__":
    main()
