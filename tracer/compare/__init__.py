# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares two sides of runs: whether one is slower, in which stages, and how sure that is.

    from tracer.compare import Options, compare

Both are imported on first use: a command's help text needs only the names of
:mod:`tracer.compare.conditions`, and not pandas and scipy.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Comparison", "Options", "compare", "compare_digests"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("tracer.compare.comparison"), name)
