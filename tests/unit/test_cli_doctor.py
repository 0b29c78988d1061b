# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer doctor`` as a command."""

from __future__ import annotations

import re

import click.testing
import pytest

from tracer.attach import doctor
from tracer.cli import main

HEADERS = "linux-headers-6.1.0-56-cloud-amd64-with-a-name-that-fills-more-than-a-line"
MENDED = f"apt install {HEADERS}, and use a venv of /usr/bin/python3 with system site packages"


@pytest.fixture(autouse=True)
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that lacks something whose remedy is long."""
    checks = [
        doctor.Check("root", True, "uid 0", "run as root"),
        doctor.Check("kernel headers", False, f"/lib/modules/{'x' * 90} is missing", MENDED),
    ]
    monkeypatch.setattr(doctor, "checks", lambda: iter(checks))


def test_a_line_on_a_pipe_is_as_long_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = click.testing.CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    line = next(x for x in result.stdout.splitlines() if x.startswith("kernel headers"))
    assert (
        line.split(None, 2)[2].rstrip() == f"MISSING  /lib/modules/{'x' * 90} is missing  {MENDED}"
    )
    assert "…" not in result.stdout


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_that_is_too_narrow_folds(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = click.testing.CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "…" not in result.stdout
    lines = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout).splitlines()
    assert max(map(len, lines)) <= columns
    # Each cell goes on in its own column.
    begin = lines[0].index("to mend it")
    folded = "".join(line[begin:] for line in lines).replace(" ", "")
    assert MENDED.replace(" ", "") in folded
