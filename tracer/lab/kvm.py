# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds out whether KVM works on this machine, once per boot of it.

``/dev/kvm`` may exist and still not work, so a kernel is booted to see.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tracer.lab.group import Group
from tracer.resources import cache_dir

# A working KVM shows the kernel's first line within two seconds; a broken one
# leaves QEMU at "Booting from ROM" for ever.
_LIMIT_SECONDS = 20
_DEVICE = Path("/dev/kvm")


def usable(kernel_image: Path) -> bool:
    """Whether KVM boots this kernel. The first answer is kept in a file until the host reboots."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = cache_dir("kvm.json")
    known = _remembered(memory)
    if known.get("boot_id") == boot_id:
        return bool(known["kvm"])
    answer = os.access(_DEVICE, os.R_OK | os.W_OK) and _boots(kernel_image)
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps({"boot_id": boot_id, "kvm": answer}))
    return answer


def _remembered(memory: Path) -> dict[str, object]:
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _boots(kernel_image: Path) -> bool:
    """Boot the kernel without a root file system: it prints its first line, panics, and reboots.

    ``panic=-1`` and ``-no-reboot`` make that the end of QEMU.
    """
    command = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "512M"]
    command += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    command += ["-kernel", str(kernel_image), "-append", "console=ttyS0 panic=-1"]
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with Group(command, **how) as trial:
        try:
            said, _ = trial.process.communicate(timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return False
    return b"Linux version" in said
