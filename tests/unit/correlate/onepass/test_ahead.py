# SPDX-License-Identifier: GPL-2.0-or-later
"""The pass that was compiled before it was needed is the one that a recording then uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from call_builder import CALLS, Traffic

from tracer.correlate.exchanges import correlate
from tracer.correlate.onepass import compiled
from tracer.correlate.onepass.ahead import compile_ahead


def test_nothing_is_left_to_compile() -> None:
    """One record of each kind must give numba the types that real records have."""
    pytest.importorskip("numba")
    compile_ahead()
    before = code()
    assert before
    traffic = Traffic(0)
    traffic.play(exchanges=10, threads=2)
    rows = traffic.calls.frames()
    correlate({kind: rows[kind] for kind in CALLS}, rows["sends"], rows["tasks"], {}, fast=True)
    assert code() == before


def code() -> list[Path]:
    """The files that hold compiled functions."""
    return sorted(compiled.directory().glob("**/*.nbc"))
