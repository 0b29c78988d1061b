# SPDX-License-Identifier: GPL-2.0-or-later
"""The bounds of repeatability, by stage and quantile."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.correlate.pieces import STAGES
from tracer.digest import QUANTILES
from tracer.repeatability import USER_SHARE, USER_STAGES, bounds


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
