# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from run_builder import record, times

from tracer.run import load_runs
from tracer.tables import overview


def test_runs_come_in_the_order_of_recording(tmp_path: Path) -> None:
    for name, second, count in (("a-2", 5, 3), ("a-10", 9, 5), ("b-1", 1, 7)):
        drawn = times(np.random.default_rng(1), count)
        record(tmp_path / name, drawn, started=f"2026-11-21T01:00:{second:02}+00:00")
    runs = load_runs(tmp_path / "a-*")
    assert [run.path.name for run in runs] == ["a-2", "a-10"]
    table = overview(runs)
    assert table["exchanges"].to_dict() == {f"{tmp_path}/a-2": 3, f"{tmp_path}/a-10": 5}
    assert table["settled"].tolist() == [3, 5]
    assert table["trusted"].tolist() == [True, True]
    assert table["command"].unique().tolist() == ["tracer drive"]
