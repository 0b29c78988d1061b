# SPDX-License-Identifier: GPL-2.0-or-later
"""Follow messages between user space and the Linux kernel.

``tracer.load(directory)`` opens a recording, ``tracer.load_runs(pattern)`` several, and
``tracer.capture(...)`` makes one. They are imported on first use: reading a recording must not
need BCC, and the command must not load pandas to print its help.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"
__all__ = ["__version__", "capture", "load", "load_runs"]

_EXPORTS = {
    "capture": "tracer.recorder.record",
    "load": "tracer.run",
    "load_runs": "tracer.run",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
