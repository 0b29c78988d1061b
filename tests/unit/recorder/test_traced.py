# SPDX-License-Identifier: GPL-2.0-or-later
"""A traced block is a run, once it has ended."""

from __future__ import annotations

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
    run = tracer.load(ALL_CHANNELS)
    traced.finished(run)
    assert traced.run is run
    assert traced.exchanges is run.exchanges
    with pytest.raises(AttributeError):
        _ = traced.nothing
