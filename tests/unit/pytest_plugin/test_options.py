# SPDX-License-Identifier: GPL-2.0-or-later
"""The texts of max_shift, and what loading the plugin costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tracer.errors import TracerError
from tracer.pytest_plugin.options import parse_shift


@pytest.mark.parametrize(
    ("text", "share", "ns"),
    [
        (None, 0.02, 100),
        ("5%", 0.05, 100),
        ("2.5 %", 0.025, 100),
        ("500ns", 0.0, 500),
        ("2us", 0.0, 2000),
        ("1.5µs", 0.0, 1500),
        ("0.1ns", 0.0, 1),
        ("2% 100ns", 0.02, 100),
        ("1ms 10%", 0.1, 1_000_000),
    ],
)
def test_shifts(text: str | None, share: float, ns: int) -> None:
    assert parse_shift(text) == (pytest.approx(share), ns)


@pytest.mark.parametrize("text", ["", "5", "fast", "5% 6%", "1us 2ns", "5% or so", "-5%", "5%%"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(TracerError, match="cannot use max_shift"):
        parse_shift(text)


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    """Every session of every project pays for it."""
    script = "import sys, tracer.pytest_plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "tracer.pytest_plugin.lab" in loaded
    heavy = {"numpy", "pandas", "pyarrow", "scipy", "bcc", "pyroute2", "rich", "click"}
    assert not heavy & set(loaded)
