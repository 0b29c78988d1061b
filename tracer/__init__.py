# SPDX-License-Identifier: GPL-2.0-or-later
"""Follow messages between user space and the Linux kernel.

``tracer.load(directory)`` opens a recording, ``tracer.capture(...)`` makes one.
Both are imported on first use: reading a recording must not need BCC, and the
command must not load pandas to print its help.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "capture", "load"]

_EXPORTS = {"load": "tracer.frames", "capture": "tracer.record"}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
