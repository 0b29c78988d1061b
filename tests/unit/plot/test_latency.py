# SPDX-License-Identifier: GPL-2.0-or-later
"""Distribution, heat map and sizes against the frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plot_doubles import MARKUP, crowded, empty, staged, varied
from report_doubles import NETLINK, exchanges

from tracer import plot
from tracer.plot.latency import _steps
from tracer.report.tables import stage_table
from tracer.report.units import time_text


@pytest.mark.parametrize("draw", [plot.distribution, plot.heatmap, plot.sizes])
def test_nothing_to_draw_is_said(draw: object) -> None:
    drawing = draw(empty())  # type: ignore[operator]
    assert [text.get_text() for text in drawing.texts] == ["no exchange was completed"]


def test_the_distribution_says_the_reports_quantiles() -> None:
    run = varied({("netlink", "route 18"): 503, ("notify", "msgchan icmp"): 97})
    drawing = plot.distribution(run)
    written = [text.get_text() for text in drawing.texts]
    for total in stage_table(run.exchanges).query("stage == 'total'").itertuples():
        assert total.name in written
        for quantile in (total.p50_ns, total.p90_ns, total.p99_ns):
            assert time_text(quantile) in written
    for axes in drawing.axes:
        assert axes.get_xscale() == "log"


def test_marks_lie_at_the_quantiles() -> None:
    run = staged(exchanges(101, "netlink", "x", NETLINK))
    (axes,) = plot.distribution(run).axes
    assert [line.get_xdata()[0] for line in axes.lines] == [51 * 200, 91 * 200, 100 * 200]


def test_every_exchange_is_in_the_heat_map() -> None:
    run = varied({("netlink", "a"): 503, ("netlink", "b"): 97, ("notify", "c"): 211})
    drawing = plot.heatmap(run)
    strips = [axes for axes in drawing.axes if axes.get_yscale() == "log"]
    assert len(strips) == 2
    first = run.exchanges["start_ns"].min()
    for axes, channel in zip(strips, ("netlink", "notify"), strict=True):
        of = run.exchanges[run.exchanges["channel"] == channel]
        polygons = [polygon for patch in axes.patches for polygon in patch.get_path().to_polygons()]
        cells = np.array([[*polygon.min(axis=0), *polygon.max(axis=0)] for polygon in polygons])
        at = ((of["start_ns"] - first) / 1e9).to_numpy(float)
        took = of["total_ns"].to_numpy(float)
        inside = (
            (cells[:, 0, None] <= at * (1 + 1e-9)) & (at <= cells[:, 2, None] * (1 + 1e-9))
            & (cells[:, 1, None] <= took) & (took <= cells[:, 3, None])
        )  # fmt: skip
        assert inside.any(axis=0).all()
        assert inside.any(axis=1).all()


def test_the_heat_map_begins_with_the_first_exchange_of_all() -> None:
    """As the slowest exchanges' ``since_ns``: one moment has one time in a report."""
    frame = exchanges(5, "netlink", "x", NETLINK)
    frame.loc[:2, "status"] = "unanswered"
    axes = next(a for a in plot.heatmap(staged(frame)).axes if a.get_yscale() == "log")
    begun = min(patch.get_path().vertices[:, 0].min() for patch in axes.patches)
    assert axes.get_xlim() == (0, 4)  # ms
    assert 2.9 < begun <= 3


@pytest.mark.parametrize("most", [1, 2, 3, 5, 6, 7, 23, 1009, 1_000_003])
def test_steps_of_colour_rise(most: int) -> None:
    steps = _steps(most)
    assert steps[0] == 1
    assert steps == sorted(set(steps))
    assert steps[-1] <= most
    assert len(steps) <= 5


def test_sizes_are_of_request_and_reply() -> None:
    frame = exchanges(101, "netlink", "x", NETLINK)
    frame["reply_bytes"] = pd.array([64, 1024] * 50 + [None], "Int64")
    (axes,) = plot.sizes(staged(frame)).axes
    (joined,) = (line for line in axes.lines if line.get_linestyle() == "-")
    marks = list(zip(joined.get_xdata(), joined.get_ydata(), strict=True))
    odd = sorted(frame["total_ns"][0:100:2])
    even = sorted(frame["total_ns"][1:100:2])
    assert marks == [(100, 101 * 200), (164, odd[24]), (1124, even[24])]


def test_many_exchanges_stay_a_small_figure() -> None:
    run = varied({("netlink", "a"): 20_011, ("getsockopt", "b"): 10_007})
    for draw in (plot.distribution, plot.heatmap, plot.sizes):
        assert len(draw(run).svg()) < 300_000


def test_names_are_no_mathematics() -> None:
    assert "$x$" in plot.distribution(crowded()).svg()
    assert "<b>" not in plot.distribution(crowded()).svg()
    assert MARKUP in plot.sizes(crowded()).described
