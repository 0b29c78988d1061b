# SPDX-License-Identifier: GPL-2.0-or-later
"""The functions of the pass, as they are or compiled by numba, with the same results."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

_PACKAGE = "tracer.correlate.onepass"
#: In the order in which they import each other.
_MODULES = (
    "tables", "log", "rows", "ways", "joining", "nesting", "answers", "calls", "receiving",
    "options", "ending", "step",
)  # fmt: skip


@cache
def compiler() -> Callable[[Any], Any] | None:
    """What compiles a function, None without numba."""
    try:
        numba = importlib.import_module("numba")
    except ImportError:
        return None
    return _compiler(numba)


def _compiler(numba: ModuleType) -> Callable[[Any], Any]:
    def compiled(function: Any) -> Any:
        try:
            return numba.njit(cache=True, _nrt=False)(function)
        except RuntimeError:  # there is no directory in which the code could be kept
            return numba.njit(_nrt=False)(function)

    return compiled


@cache
def functions(fast: bool) -> dict[str, Callable[..., Any]]:
    """All functions of the pass by name; ``fast``: compiled, if there is a compiler."""
    found = compiler() if fast else None
    known: dict[str, Any] = {}
    for name in _MODULES:
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        if found is not None:
            module = _copy(module, f"{_PACKAGE}.compiled_{name}")
            module.__dict__.update((k, v) for k, v in known.items() if k in module.__dict__)
        for key, value in list(module.__dict__.items()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                known[key] = value if found is None else found(value)
                module.__dict__[key] = known[key]
    return known


def is_compiled() -> bool:
    """Whether a run before this one has left the compiled functions for this CPU."""
    if compiler() is None:
        return False
    kept = getattr(functions(True)["window"], "_cache", None)
    path = getattr(kept, "cache_path", None)
    return path is not None and (Path(path) / _mark()).exists()


def mark_compiled() -> None:
    """Note that the functions are compiled and kept, for `is_compiled`."""
    kept = getattr(functions(True)["window"], "_cache", None)
    path = getattr(kept, "cache_path", None)
    if path is not None and any(Path(path).glob("*window-*.nbi")):
        with suppress(OSError):
            (Path(path) / _mark()).touch()


def _mark() -> str:
    """A name for this source and CPU: what numba keeps serves no other."""
    binding = importlib.import_module("llvmlite.binding")
    features = binding.get_host_cpu_features().flatten()
    sources = [Path(__file__).with_name(f"{name}.py").stat().st_mtime_ns for name in _MODULES]
    text = f"{binding.get_host_cpu_name()} {features} {sources}"
    return f"compiled-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _copy(module: ModuleType, name: str) -> ModuleType:
    """The same module again under another name, whose functions may be replaced."""
    spec = importlib.util.spec_from_file_location(name, module.__file__)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    copy = importlib.util.module_from_spec(spec)
    sys.modules[name] = copy
    spec.loader.exec_module(copy)
    return copy
