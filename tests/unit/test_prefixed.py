# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/prefixed: lines with a name, the command's own status, and nothing of the caller's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "prefixed"


def run(command: str) -> subprocess.CompletedProcess[str]:
    argv = [SCRIPT, "guest", "sh", "-c", command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_every_line_of_both_streams_gets_the_name() -> None:
    done = run("echo one; echo two >&2; printf three")
    assert done.stdout.splitlines() == ["guest: one", "guest: two", "guest: three"]
    assert done.stderr == ""


def test_the_status_is_the_command_s() -> None:
    assert [run(f"exit {code}").returncode for code in (0, 1, 124)] == [0, 1, 124]


def test_the_command_gets_nothing_of_the_make_that_calls() -> None:
    """Neither its flags nor its job server, which is a pair of open files."""
    environment = os.environ | {"MAKEFLAGS": "-j2", "MFLAGS": "-j2", "MAKELEVEL": "1"}
    caller = f"exec 3</dev/null 5</dev/null; exec {SCRIPT} guest sh -c 'ls /proc/self/fd; env'"
    told = subprocess.check_output(["sh", "-c", caller], text=True, timeout=60, env=environment)
    lines = [line.removeprefix("guest: ") for line in told.splitlines()]
    # The fourth is the directory that ls reads.
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2", "3"]
    assert [line for line in lines if line.startswith(("MAKE", "MFLAGS"))] == []
