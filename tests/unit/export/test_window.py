# SPDX-License-Identifier: GPL-2.0-or-later
"""What a window of time contains."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recording_copies import ALL_CHANNELS
from run_builder import record, times
from trace_event_format import check

import tracer
from tracer.errors import TracerError
from tracer.export import perfetto
from tracer.export.window import Part, cut
from tracer.run import Run

FRAMES = ("events", "sends", "tasks", "exchanges", "stages")


@pytest.fixture
def echoes(tmp_path: Path) -> Run:
    return tracer.load(record(tmp_path / "run", times(np.random.default_rng(1), 7)))


def span(run: Run | Part, row: int) -> tuple[int, int]:
    """When an exchange began and ended, since the first one began."""
    found = run.exchanges
    start = int(found["start_ns"].iloc[row] - found["start_ns"].min())
    return start, start + int(found["total_ns"].iloc[row])


def test_without_bounds_everything_is_in_it() -> None:
    run = tracer.load(ALL_CHANNELS)
    part = cut(run, None, None)
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(part, name), getattr(run, name))
    assert (part.meta, part.trusted) == (run.meta, run.trusted)


def test_an_exchange_that_is_cut_is_kept_whole(echoes: Run) -> None:
    begin, end = span(echoes, 3)
    part = cut(echoes, begin + 100, end - 100)
    whole = echoes.exchanges.iloc[[3]].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.exchanges, whole)
    stages = echoes.stages[echoes.stages["exchange"] == 3]
    assert part.stages["exchange"].tolist() == [0] * len(stages)
    assert part.stages["start_ns"].tolist() == stages["start_ns"].tolist()
    first = int(echoes.exchanges["start_ns"].min())
    for frame, name in ((echoes.events, "start_ns"), (echoes.sends, "begin_ns")):
        inside = (frame[name] >= first + begin) & (frame["end_ns"] <= first + end)
        found = part.events if name == "start_ns" else part.sends
        assert found[name].tolist() == frame.loc[inside, name].tolist()
        assert len(found)


def test_it_begins_with_its_first_nanosecond_and_ends_before_its_last(echoes: Run) -> None:
    begin, end = span(echoes, 3)
    rows = echoes.exchanges["seq"].tolist()
    assert cut(echoes, None, begin).exchanges["seq"].tolist() == rows[:3]
    assert cut(echoes, None, begin + 1).exchanges["seq"].tolist() == rows[:4]
    assert cut(echoes, end, None).exchanges["seq"].tolist() == rows[4:]
    assert cut(echoes, end - 1, None).exchanges["seq"].tolist() == rows[3:]


def changed(run: Run, **frames: pd.DataFrame) -> Any:
    """The run with other frames."""
    own = {name: getattr(run, name) for name in (*FRAMES, "path", "meta", "trusted")}
    return SimpleNamespace(**own | frames)


def test_an_instant_is_in_the_window_that_begins_with_it(echoes: Run) -> None:
    """It is on an idle CPU, so it is not in an exchange of its thread."""
    first, at = int(echoes.exchanges["start_ns"].min()), span(echoes, 3)[0] + 50
    idle = {"start_ns": first + at, "end_ns": first + at, "tid": 0}
    run = changed(echoes, events=echoes.events.iloc[:1].assign(**idle))
    assert len(cut(run, at, at + 1).events) == 1
    assert len(cut(run, at + 1, None).events) == len(cut(run, None, at).events) == 0


@pytest.mark.parametrize(
    "window", [(0, 1), (400_000, 30_000_000), (None, 9_000_000), (10**8, None)]
)
def test_a_window_is_a_timeline(tmp_path: Path, window: tuple[int | None, int | None]) -> None:
    run = tracer.load(ALL_CHANNELS)
    part = cut(run, *window)
    counts = perfetto.write(part, tmp_path / "part.json")
    perfetto.write(run, tmp_path / "whole.json")
    slices = [
        {(e["ts"], e["dur"], e["pid"], e["name"], str(e.get("args")))
         for e in check((tmp_path / name).read_text()) if e["ph"] == "X"}
        for name in ("part.json", "whole.json")
    ]  # fmt: skip
    assert slices[0] < slices[1]
    assert counts["exchange"] == len(part.exchanges) > 0


def test_without_an_exchange_time_counts_from_the_first_observation(echoes: Run) -> None:
    none = {name: getattr(echoes, name).iloc[:0] for name in ("exchanges", "stages")}
    part = cut(changed(echoes, **none), 0, 1)
    first = min(echoes.events["start_ns"].min(), echoes.sends["begin_ns"].min())
    starts = [*part.events["start_ns"], *part.sends["begin_ns"]]
    assert starts
    assert set(starts) == {first}


@pytest.mark.parametrize("window", [(10**12, None), (10**12, 10**13), (10**40, None)])
def test_a_window_of_nothing_says_so(window: tuple[int, int | None]) -> None:
    with pytest.raises(TracerError, match=r"nothing lies in the window: the recording ends \d"):
        cut(tracer.load(ALL_CHANNELS), *window)
