# SPDX-License-Identifier: GPL-2.0-or-later
"""The accessor, on a recording of the lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer import plot
from tracer.run import Run, load

RECORDING = Path(__file__).parents[1] / "data" / "all-channels"


@pytest.fixture(scope="module")
def lab() -> Run:
    return load(RECORDING)


@pytest.mark.parametrize("name", ["waterfall", "distribution", "heatmap", "sizes"])
def test_a_method_is_the_function(lab: Run, name: str) -> None:
    assert getattr(lab.plot, name)().svg() == getattr(plot, name)(lab).svg()


def test_one_exchange(lab: Run) -> None:
    assert lab.plot.exchange(3).svg() == plot.exchange(lab, 3).svg()


def test_another_run(lab: Run) -> None:
    assert lab.plot.compare(lab).svg() == plot.compare(lab, [lab]).svg()


def test_one_type(lab: Run) -> None:
    only = ("netlink", "msgchan echo")
    assert lab.plot.waterfall(only).svg() == plot.waterfall(lab, only).svg()
    assert len(lab.plot.waterfall(only).axes) == 1


def test_every_figure_says_axes_and_units() -> None:
    for draw in (plot.waterfall, plot.distribution, plot.heatmap, plot.sizes, plot.exchange,
                 plot.compare):  # fmt: skip
        assert "x: " in (draw.__doc__ or "")
        assert "y: " in (draw.__doc__ or "")
