# SPDX-License-Identifier: GPL-2.0-or-later
"""An injected delay is a known amount, to the instruction: one boot on the deterministic clock."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from delays import ASKED_NS, CHANNELS, WITHOUT, growth

from tracer.compare.comparison import SLOWER, compare
from tracer.run import load

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
#: By how much a median may miss what the module told that it waited, in ns, which are instructions.
EXACT_NS = 5
#: By how much the same stage differs between two runs that asked for the same.
ALIKE_NS = 10
CASES = [(stage, ns) for stage in CHANNELS for ns in ASKED_NS]


@pytest.fixture(scope="module")
def recordings() -> Iterator[Path]:
    """What tests/rates/delays.py recorded in the guest, which may write below runs/ only."""
    directory = Path("runs") / f"test-delays-{uuid.uuid4()}"
    script = ["python", "tests/rates/delays.py", "record", str(directory)]
    lab = [sys.executable, "-m", "tracer", "lab", "--deterministic", "--timeout", "1500", "--"]
    try:
        done = subprocess.run(
            [*lab, *script], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield ROOT / directory
    finally:
        shutil.rmtree(ROOT / directory, ignore_errors=True)


@pytest.fixture(scope="module")
def grown(recordings: Path) -> dict[tuple[str, int], pd.DataFrame]:
    """By how much each stage of each channel grew, by the delayed stage and the ns asked for."""
    return {(stage, ns): change for stage, ns, change in growth(recordings)}


@pytest.fixture(scope="module")
def told(recordings: Path) -> dict[tuple[str, int], dict[str, int]]:
    """The median of what the replies told that was waited, by channel."""
    waits = json.loads((recordings / "waits.json").read_text())
    return {
        (stage, ns): {
            channel: stages[stage]["p50_ns"]
            for channel, stages in waits[f"{stage}-{ns}"].items()
            if stage in stages
        }
        for stage, ns in CASES
    }


@pytest.mark.parametrize(("stage", "ns"), CASES)
def test_a_delay_grows_its_stage_by_what_the_replies_tell(
    grown: dict[tuple[str, int], pd.DataFrame],
    told: dict[tuple[str, int], dict[str, int]],
    stage: str,
    ns: int,
) -> None:
    assert CHANNELS[stage] in told[stage, ns]
    for channel, waited in told[stage, ns].items():
        assert waited >= ns
        assert grown[stage, ns].loc[channel, stage] == pytest.approx(waited, abs=EXACT_NS)


@pytest.mark.parametrize(("stage", "ns"), CASES)
def test_a_delay_grows_no_other_stage(
    grown: dict[tuple[str, int], pd.DataFrame], stage: str, ns: int
) -> None:
    others = grown[stage, ns].drop(columns=stage)
    assert not (others.abs() > ALIKE_NS).any(axis=None), others.to_string()


@pytest.mark.parametrize("stage", CHANNELS)
def test_the_grain_is_one_reading_of_the_clock(
    told: dict[tuple[str, int], dict[str, int]], stage: str
) -> None:
    """Asked for 1 ns it waits a turn of its loop, and for more never a turn too many."""
    for channel, grain in told[stage, 1].items():
        for ns in ASKED_NS:
            assert told[stage, ns][channel] < ns + grain + EXACT_NS


@pytest.mark.parametrize(("stage", "ns"), [case for case in CASES if case[1] > 100])
def test_a_comparison_blames_the_delayed_stage(recordings: Path, stage: str, ns: int) -> None:
    base, new = load(recordings / WITHOUT), load(recordings / f"{stage}-{ns}")
    found = compare([base], [new])
    moved = found.moved.set_index("channel").loc[CHANNELS[stage]]
    assert (moved["stage"], moved["verdict"]) == (stage, SLOWER)
