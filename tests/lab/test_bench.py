# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracing has not become dearer: one boot on the deterministic clock, beside committed figures."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.guard import SIDES, read_guard, rises
from bench.result import CALLS, Result, read

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def measured() -> Iterator[Result]:
    """What the C client's calls cost with our tracer; the guest may write below runs/ only."""
    directory = Path("runs") / f"test-bench-{uuid.uuid4()}"
    script = ["python", "-m", "bench.measure", "--ours", str(directory / "ours.json")]
    lab = [sys.executable, "-m", "tracer", "lab", "--deterministic", "--timeout", "1500", "--"]
    try:
        done = subprocess.run(
            [*lab, *script], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield read(ROOT / directory / "ours.json")
    finally:
        shutil.rmtree(ROOT / directory, ignore_errors=True)


def test_every_side_and_call_is_guarded() -> None:
    guarded = {(figure.side, figure.call) for figure in read_guard().figures}
    assert guarded == {(side, call) for side in SIDES for call in CALLS}


def test_tracing_costs_no_more_than_it_did(measured: Result) -> None:
    """``scripts/rates guard`` remakes the figures, when a rise is what a change is worth."""
    guard = read_guard()
    kernels = f"measured on {measured.kernel}, the figures are of {guard.kernel}"
    assert list(rises(measured, guard)) == [], kernels
