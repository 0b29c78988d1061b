# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the module ``msgchan`` for a kernel, once for each state of its sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tracer.errors import TracerError
from tracer.module import headers
from tracer.resources import cache_dir, source_dir

NAME = "msgchan"
_SOURCES = ("*.c", "*.h", "Kbuild", "Makefile")

Progress = Callable[[str], AbstractContextManager[None]]


def silent(what: str) -> AbstractContextManager[None]:
    """A ``progress`` for :func:`build` that shows nothing."""
    return nullcontext()


def build(kver: str | None = None, progress: Progress = silent) -> Path:
    """Build the module for kernel ``kver`` (default: the running one); returns the .ko file.

    If it was built from the same sources before, that file is returned. While a build
    runs, the context manager ``progress(text)`` is open, with a text that says what is
    built. Raises TracerError when the kernel's headers or a compiler are missing, or when
    the build fails.
    """
    kver = kver or os.uname().release
    sources = source_dir("kmod")
    directory = build_dir(kver, sources)
    module = directory / f"{NAME}.ko"
    stamp = _stamp(kver, sources)
    if _is_current(module, stamp):
        return module
    require_tools(kver)
    with _locked(directory):
        if not _is_current(module, stamp):
            with progress(f"building {NAME} for kernel {kver}"):
                _make(kver, sources, directory)
            (directory / ".stamp").write_text(stamp)
    return module


def build_dir(kver: str, sources: Path) -> Path:
    """The directory for the build: ``TRACER_KMOD_BUILD``, else one below the user's cache.

    The one in the cache is named after the kernel and a hash of the sources.
    """
    override = os.environ.get("TRACER_KMOD_BUILD")
    if override:
        return Path(override).absolute()
    return cache_dir("kmod") / _stamp(kver, sources)


def _stamp(kver: str, sources: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for pattern in _SOURCES for p in sources.glob(pattern)):
        text = path.read_bytes()
        digest.update(f"{path.name}\0{len(text)}\0".encode() + text)
    return f"{kver}-{digest.hexdigest()[:16]}"


def _is_current(module: Path, stamp: str) -> bool:
    try:
        return module.is_file() and (module.parent / ".stamp").read_text() == stamp
    except OSError:
        return False


def require_tools(kver: str) -> None:
    """Raise TracerError unless what a build for kernel ``kver`` needs is installed."""
    what = f"cannot build {NAME} for kernel {kver}"
    there = headers.directory(kver)
    if not (there / "Makefile").is_file():
        raise TracerError(what, f"its headers are not at {there}", headers.remedy(kver))
    for tool in ("make", "gcc"):
        if not shutil.which(tool):
            raise TracerError(what, f"there is no {tool}", "run 'apt install build-essential'")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / ".lock").open("w")
    except OSError as error:
        raise TracerError(
            f"cannot build {NAME} in {directory}",
            error.strerror or str(error),
            "set TRACER_KMOD_BUILD to a directory that can be written",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(kver: str, sources: Path, directory: Path) -> None:
    log = directory / "build.log"
    command = ["make", "-C", str(sources), f"KVER={kver}", f"BUILD={directory}", "modules"]
    with log.open("w") as output:
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        ).returncode
    if status == 0:
        return
    lines = log.read_text(errors="replace").splitlines()
    causes = [line for line in lines if "error" in line.lower()] or lines[-1:]
    cause = causes[0].strip() if causes else f"make ended with status {status}"
    raise TracerError(f"cannot build {NAME} for kernel {kver}", cause, f"read {log}")
