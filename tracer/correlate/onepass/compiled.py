# SPDX-License-Identifier: GPL-2.0-or-later
"""The functions of the pass, as they are or compiled by numba, with the same results."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import shutil
import stat
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tracer.resources import compiled_dir

#: How many directories of compiled functions are kept.
_KEPT = 4
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
    return _compiler(numba, _made(directory()))


def _compiler(numba: ModuleType, keep: Path | None) -> Callable[[Any], Any]:
    """Compiles by numba, which keeps the code in ``keep``, or nowhere."""

    def compiled(function: Any) -> Any:
        if keep is None:
            return numba.njit(_nrt=False)(function)
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(keep)
        try:
            return numba.njit(cache=True, _nrt=False)(function)
        finally:
            numba.config.CACHE_DIR = before

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


def is_loaded() -> bool:
    """Whether this process has loaded the compiled functions."""
    return f"{_PACKAGE}.compiled_{_MODULES[-1]}" in sys.modules


def is_compiled() -> bool:
    """Whether a run before this one has left the compiled functions of this source and CPU.

    Of the functions that a run calls, ``finish`` is the last, and so the last to be compiled.
    """
    if compiler() is None:
        return False
    keep = directory()
    return _is_ours(keep.parent) and any(keep.glob("**/step.finish-*.nbi"))


def directory() -> Path:
    """Where the compiled functions are kept: below the user's cache, by what they are made of.

    That is the CPU, the sources, and the constants that these take from elsewhere. numba itself
    looks at the file of the function alone. If only a function that this calls had changed, or
    a constant, it would go on with what it had compiled before. And the place of the sources, by
    which numba tells apart what it has compiled: code of another checkout is not loaded here.
    """
    digest = hashlib.sha256(f"{_cpu()}\0{Path(__file__).parent}".encode())
    for name in _MODULES:
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        constants = sorted((k, v) for k, v in vars(module).items() if isinstance(v, (int, tuple)))
        digest.update(f"\0{name}\0{constants}\0{inspect.getsource(module)}".encode())
    return compiled_dir("onepass") / digest.hexdigest()[:32]


def _cpu() -> str:
    """For which CPU numba compiles: this one, or what its variables in the environment say.

    See NUMBA_CPU_NAME and NUMBA_CPU_FEATURES in numba's reference, "Environment variables".
    """
    config = importlib.import_module("numba").config
    binding = importlib.import_module("llvmlite.binding")
    name, features = config.CPU_NAME, config.CPU_FEATURES
    if name is None:
        name = binding.get_host_cpu_name()
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    return f"{name} {features}"


def _made(keep: Path) -> Path | None:
    """The directory, made if need be, without older ones; None if it cannot be ours alone."""
    try:
        keep.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(keep.parent):
            return None
        keep.mkdir(exist_ok=True)
        others = [path for path in keep.parent.iterdir() if path != keep]
        others.sort(key=lambda path: path.stat().st_mtime)
        for old in others[: 1 - _KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return None
    return keep


def _is_ours(path: Path) -> bool:
    """Whether only this user can write there; False where there is nothing."""
    try:
        about = path.stat()
    except OSError:
        return False
    return about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _copy(module: ModuleType, name: str) -> ModuleType:
    """The same module again under another name, whose functions may be replaced."""
    spec = importlib.util.spec_from_file_location(name, module.__file__)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    copy = importlib.util.module_from_spec(spec)
    sys.modules[name] = copy
    spec.loader.exec_module(copy)
    return copy
