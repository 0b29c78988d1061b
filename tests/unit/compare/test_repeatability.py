# SPDX-License-Identifier: GPL-2.0-or-later
"""The bounds of repeatability, by stage and quantile."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.compare.digest import QUANTILES
from tracer.compare.repeatability import TICK_NS, USER_SHARE, USER_STAGES, bounds, disturbed
from tracer.correlate.stages import STAGES


@pytest.mark.parametrize(
    ("stage", "quantile", "level", "bound"),
    [
        ("handler", "p50", 1000, 10),
        ("handler", "p99", 10_000, 50),
        ("encode", "p50", 1000, 60),
        ("total", "p90", 1000, 300),
        ("queue", "p99", 0, 0),
    ],
)
def test_bounds(stage: str, quantile: str, level: float, bound: float) -> None:
    assert bounds([stage], [quantile], np.array([level])).tolist() == [bound]


def test_every_stage_and_quantile_is_known() -> None:
    assert set(USER_STAGES) - {"unexplained", "total"} < set(STAGES)
    assert USER_SHARE.keys() == QUANTILES.keys()


@pytest.mark.parametrize(
    ("stage", "usual", "shares"),
    [
        ("handler", 0, (0.0005, 1e-5)),
        ("handler", 20_000, (0.01, 1e-5)),
        ("handler", 100 * TICK_NS, (1, 1e-5)),
        ("decode", 20_000, (0.03, 0.01)),
        ("total", 200_000, (0.1, 0.01)),
    ],
)
def test_a_stage_is_disturbed_as_often_as_it_is_long(
    stage: str, usual: float, shares: tuple[float, float]
) -> None:
    assert disturbed(stage, usual) == pytest.approx(shares)
