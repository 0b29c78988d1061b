# SPDX-License-Identifier: GPL-2.0-or-later
"""Driving a workload where it cannot be driven, and what is made of the times of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tracer.cli import main
from tracer.clients import drive, wire


def test_without_the_module_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MODULE", tmp_path / "msgchan")
    done = CliRunner().invoke(main, ["drive"])
    assert done.exit_code == 2
    assert "msgchan is not loaded; run `tracer kmod load`" in done.stderr


@pytest.mark.parametrize("count", [1, 2, 3, 101, 1009])
def test_quantiles_are_those_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).integers(0, 10**9, count)
    for share in (0.5, 0.99, 1):
        found = drive._quantile(sorted(values.tolist()), share)
        assert found == pytest.approx(np.quantile(values, share), abs=1)


def test_no_request_has_no_quantile() -> None:
    assert drive._quantile([], 0.5) == 0
