# SPDX-License-Identifier: GPL-2.0-or-later
"""The pass makes the same of the same records, in whatever windows and by whatever code."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pandas as pd
import pytest
from call_builder import CALLS, Traffic

from tracer.correlate.exchanges import Correlation, correlate
from tracer.correlate.onepass.compiled import functions
from tracer.correlate.onepass.fields import N_TOP
from tracer.correlate.onepass.run import MANY, VERY_MANY, pays, run


@cache
def frames(seed: int) -> dict[str, pd.DataFrame]:
    traffic = Traffic(seed)
    traffic.play(exchanges=400, threads=7)
    return traffic.calls.frames()


def made(seed: int, **options: int | bool) -> Correlation:
    rows = frames(seed)
    return correlate(
        {kind: rows[kind] for kind in CALLS}, rows["sends"], rows["tasks"], {}, **options
    )


def assert_same(one: Correlation, other: Correlation) -> None:
    pd.testing.assert_frame_equal(one.exchanges, other.exchanges)
    pd.testing.assert_frame_equal(one.stages, other.stages)
    assert one.reads == other.reads
    assert (one.disordered, one.disagreeing) == (other.disordered, other.disagreeing)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("window", [1, 7, 1000])
def test_any_window_gives_the_same_frames(seed: int, window: int) -> None:
    assert_same(made(seed, window=window), made(seed))


@pytest.mark.parametrize("seed", range(3))
def test_who_waits_no_longer_than_needed_makes_the_same(seed: int) -> None:
    """What is complete is given up long before the end, and its room used again.

    Rows that begin at the same time may change places.
    """
    key = ["start_ns", "channel", "tid", "seq"]
    few, every = (
        found.exchanges.sort_values(key, ignore_index=True)
        for found in (made(seed, patience=100, window=13), made(seed))
    )
    pd.testing.assert_frame_equal(few, every)


@pytest.mark.parametrize("seed", range(2))
def test_compiled_code_makes_the_same(seed: int) -> None:
    pytest.importorskip("numba")
    assert_same(made(seed, fast=True), made(seed, fast=False))


@pytest.mark.parametrize(
    ("total", "kept", "lab", "expected"),
    [
        (MANY - 1, True, False, False),
        (MANY, True, False, True),
        (MANY, False, False, False),
        (VERY_MANY, False, False, True),
        (VERY_MANY, False, True, False),
        (VERY_MANY, True, True, True),
    ],
)
def test_code_is_compiled_where_that_pays(
    monkeypatch: pytest.MonkeyPatch, total: int, kept: bool, lab: bool, expected: bool
) -> None:
    monkeypatch.setattr("tracer.correlate.onepass.run.is_loaded", lambda: False)
    monkeypatch.setattr("tracer.correlate.onepass.run.is_compiled", lambda: kept)
    monkeypatch.setenv("TRACER_LAB", "1" if lab else "0")
    assert pays(total) == expected


def test_code_that_is_loaded_is_used_for_a_small_recording_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("numba")
    functions(fast=True)
    assert pays(1)
    monkeypatch.delitem(sys.modules, "tracer.correlate.onepass.compiled_step")
    assert not pays(1)


def test_the_order_of_the_tables_is_the_rings() -> None:
    rows = frames(0)
    mixed = {kind: rows[kind].sample(frac=1, random_state=1) for kind in CALLS}
    again = correlate(mixed, rows["sends"], rows["tasks"], {})
    assert_same(again, made(0))


@pytest.mark.parametrize("fast", [False, True])
def test_the_memory_grows_no_more_once_everything_is_complete(fast: bool) -> None:
    """What a long recording keeps is what a short one does, besides its rows."""
    rows = frames(0)
    step, span = 1 + max(int(rows[kind]["order"].max()) for kind in CALLS), 10**7
    tops = []
    for copies in (3, 6):
        many = {}
        for kind in CALLS:
            number = np.repeat(np.arange(copies), len(rows[kind]))
            many[kind] = pd.concat([rows[kind]] * copies, ignore_index=True)
            many[kind]["order"] += number * step
            for name in many[kind].filter(like="_ns"):
                many[kind][name] += (many[kind][name] > 0) * number * span
        result = run(many, rows["sends"], rows["tasks"], fast=fast, window=1_000, patience=100)
        tops.append(result.n[N_TOP])
    assert tops[1] < 1.2 * tops[0]
