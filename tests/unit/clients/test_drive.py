# SPDX-License-Identifier: GPL-2.0-or-later
"""Driving a workload where it cannot be driven."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tracer.cli import main
from tracer.clients import wire


def test_without_the_module_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MODULE", tmp_path / "msgchan")
    done = CliRunner().invoke(main, ["drive"])
    assert done.exit_code == 2
    assert "msgchan is not loaded; run `tracer kmod load`" in done.stderr
