# SPDX-License-Identifier: GPL-2.0-or-later
"""What every kind of test may use."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

Tracer = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tracer_command() -> Tracer:
    """Run ``tracer ARGUMENTS`` as a process of its own and give what it said."""

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tracer", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


def pytest_configure() -> None:
    """Ctrl-C means the same whoever started us: a shell's background job inherits it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
