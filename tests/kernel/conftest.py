# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel tests run as root in the lab's guest, and nowhere else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from properties import check

from tracer.attach.probes import Probes
from tracer.lab.console import complaints
from tracer.module import kmod
from tracer.recorder.record import capture
from tracer.recorder.session import Options, attach
from tracer.recorder.traced import Traced
from tracer.run import Run, load

_NAMESPACE = "programs"


class KernelLog:
    """The kernel's log from now on; ``lines`` is what has been read of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)

    def read(self) -> list[str]:
        """The lines logged since the last call."""
        known = len(self.lines)
        while True:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                return self.lines[known:]
            except BrokenPipeError:
                # Overwritten before it was read; the lab judges the console as well.
                continue
            message = record.decode(errors="replace").partition(";")[2]
            # Continuation lines (" SUBSYSTEM=...") are about the record, not of it.
            self.lines.append(message.partition("\n")[0])

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture(scope="session", autouse=True)
def in_the_guest() -> None:
    """Fail, never skip: a kernel test that does not run proves nothing."""
    if os.environ.get("TRACER_LAB") != "1" or os.geteuid() != 0:
        pytest.exit("kernel tests run in the lab: tracer lab -- pytest tests/kernel", returncode=2)


@pytest.fixture
def msgchan() -> Path:
    """msgchan loaded with its default parameters, whatever the test before did; its file."""
    path = Path(os.environ["TRACER_MSGCHAN_KO"])
    status = kmod.status()
    if status.loaded and any(status.parameters[n] != v for n, v in kmod.DEFAULTS.items()):
        kmod.unload()
    kmod.load(path)
    return path


@pytest.fixture(autouse=True)
def kernel_log() -> Iterator[KernelLog]:
    """The kernel's log during the test, which fails when the kernel complained in it."""
    log = KernelLog()
    yield log
    log.read()
    log.close()
    said = complaints("\n".join(log.lines))
    assert not said, "the kernel complained during the test:\n" + "\n".join(said)


class Recorder:
    """Records with probes that are attached once for the session; checks what it recorded."""

    def __init__(self, probes: Probes, path: Path) -> None:
        self.probes = probes
        self.path = path

    @contextmanager
    def __call__(self, *, full: bool = True) -> Iterator[Traced]:
        """Record the block; afterwards every property must hold of the recording."""
        with capture(self.path / "recording", probes=self.probes) as handle:
            yield handle
        check(handle.run, full=full)

    def opened(self, path: Path, *, full: bool = True) -> Run:
        """A recording that the test made itself, checked."""
        run = load(path)
        check(run, full=full)
        return run


def attached(**options: Any) -> Iterator[Probes]:
    """Probes for the whole session: compiling them takes seconds.

    While they are attached msgchan cannot be unloaded, so the tests that use them
    come after those that unload it: files run in the order of their names.
    """
    kmod.load(Path(os.environ["TRACER_MSGCHAN_KO"]))
    probes = attach(Options(ring=4 << 20, **options))
    yield probes
    probes.close()


@pytest.fixture(scope="session")
def probes() -> Iterator[Probes]:
    """fentry and fexit, the copy by the module's tracepoint: what the plan chooses here."""
    yield from attached()


@pytest.fixture
def recorder(probes: Probes, tmp_path: Path) -> Recorder:
    """Records with the plan's own choice of sites."""
    return Recorder(probes, tmp_path)


@pytest.fixture
def namespace() -> Iterator[str]:
    """The name of a network namespace in which nothing is but its loopback device."""
    subprocess.run(["ip", "netns", "add", _NAMESPACE], check=True)
    subprocess.run(["ip", "-n", _NAMESPACE, "link", "set", "lo", "up"], check=True)
    yield _NAMESPACE
    subprocess.run(["ip", "netns", "del", _NAMESPACE], check=True)
