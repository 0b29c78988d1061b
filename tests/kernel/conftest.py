# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel tests run as root in the lab's guest, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer import kmod
from tracer.lab.console import complaints


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
