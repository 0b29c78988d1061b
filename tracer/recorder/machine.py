# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of ``meta.json`` that describes the machine on which a recording is made."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tracer import __version__
from tracer.attach.doctor import clock_source
from tracer.attach.sockets import netns_of

_MODULE = Path("/sys/module/msgchan")
#: Set by ``tracer lab --deterministic``: the guest's clock counts instructions.
DETERMINISTIC = "TRACER_DETERMINISTIC"


def describe() -> dict[str, Any]:
    """The keys of ``meta.json`` that describe the machine.

    They are host, boot_id, kernel, machine, cpus, netns, tracer (version), started, clock and
    module.
    """
    return {
        "host": platform.node(),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "cpus": os.cpu_count(),
        "netns": netns_of(),
        "tracer": __version__,
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "clock": {
            "name": "CLOCK_MONOTONIC",
            "source": clock_source(),
            "deterministic": deterministic(),
        },
        "module": module(),
    }


def deterministic() -> bool:
    """Whether this machine's clock counts instructions."""
    return os.environ.get(DETERMINISTIC) == "1"


def module() -> dict[str, Any] | None:
    """srcversion, build_id and parameters of msgchan; None if it is not loaded."""
    if not _MODULE.is_dir():
        return None
    return {
        "srcversion": _read(_MODULE / "srcversion"),
        "build_id": _build_id(_MODULE / "notes" / ".note.gnu.build-id"),
        "parameters": {
            path.name: _read(path) for path in sorted((_MODULE / "parameters").glob("*"))
        },
    }


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _build_id(path: Path) -> str:
    """The build id in an ELF note: it follows three 32-bit words and the name "GNU\\0"."""
    try:
        return path.read_bytes()[16:].hex()
    except OSError:
        return ""
