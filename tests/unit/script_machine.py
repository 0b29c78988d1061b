# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that runs its script here; as a program, runs DIRECTORY/guest.sh in it."""

from __future__ import annotations

import sys
from pathlib import Path

from tracer.lab import vm


class ScriptMachine(vm.Machine):
    """Runs the script on this machine instead of booting one."""

    def command(self, script: Path) -> list[str]:
        return ["sh", str(script)]


def script_machine(directory: Path) -> ScriptMachine:
    """Its files are in ``directory``."""
    return ScriptMachine(
        image=directory / "vmlinuz",
        cpus=1,
        memory="2G",
        kvm=False,
        deterministic=False,
        shared=directory,
        console=directory / "console.log",
    )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    sys.exit(vm.run(script_machine(place), place / "guest.sh", 1000))
