# SPDX-License-Identifier: GPL-2.0-or-later
"""A traced block is a run, once it has ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tracer
from tracer.recorder.traced import Traced

ALL_CHANNELS = Path(__file__).parents[2] / "data" / "all-channels"


def test_a_trace_is_no_run_before_it_ended() -> None:
    traced = Traced(Path("somewhere"))
    with pytest.raises(RuntimeError, match="still running"):
        _ = traced.run
    with pytest.raises(RuntimeError, match="still running"):
        _ = traced.exchanges


def test_a_trace_is_its_run_afterwards() -> None:
    traced = Traced(ALL_CHANNELS)
    traced.finished()
    assert len(traced.exchanges) == len(tracer.load(ALL_CHANNELS).exchanges)
    assert traced.exchanges is traced.run.exchanges
    with pytest.raises(AttributeError):
        _ = traced.nothing


def test_a_recording_is_read_when_its_run_is_first_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later than the end of the block, and wherever the program stands by then."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    traced = Traced(Path("recording"))
    traced.finished()
    shutil.copytree(ALL_CHANNELS, "recording")
    monkeypatch.chdir("elsewhere")
    assert len(traced.run.exchanges) == 117
