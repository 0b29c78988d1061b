# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the C sources, which are beside the package or inside it, and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from tracer.errors import TracerError

#: Says where compiled probes, and the compiled pass over the records, are kept.
COMPILED_VARIABLE = "TRACER_COMPILED"
_PACKAGE = Path(__file__).resolve().parent


def project_root() -> Path | None:
    """The checkout this package runs from, or None when it is installed."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "kmod").is_dir() else None


def runs_directory() -> Path:
    """The directory that the lab's guests share with the host: ``runs`` in the checkout, or here.

    It may not exist.
    """
    return (project_root() or Path.cwd()) / "runs"


def source_dir(name: str) -> Path:
    """The directory of the sources called ``name``: "kmod" (the module) or "bpf" (the probes).

    Raises TracerError when they are in neither place.
    """
    root = project_root()
    found = root / name if root else _PACKAGE / "_sources" / name
    if name not in ("kmod", "bpf") or not found.is_dir():
        raise TracerError(
            f"cannot find the sources of {name}",
            f"{found} is not there",
            "install tracer again or run it from a checkout",
        )
    return found


def cache_dir(name: str) -> Path:
    """Where what is called ``name`` is kept for this user; it may not exist.

    It is below ``XDG_CACHE_HOME``, or else ``~/.cache``, as the XDG base directory specification
    has it.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracer" / name


def compiled_dir(name: str) -> Path:
    """Where compiled code of this kind is kept: in `cache_dir`, or where `COMPILED_VARIABLE` says.

    Emulated guests of the lab have that variable; see `tracer.lab.cache`.
    """
    kept = os.environ.get(COMPILED_VARIABLE)
    return Path(kept) / name if kept else cache_dir(name)
