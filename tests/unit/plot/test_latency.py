# SPDX-License-Identifier: GPL-2.0-or-later
"""Distribution, heat map and sizes against the frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from plot_doubles import MARKUP, NOTIFY, crowded, empty, staged, varied
from report_doubles import NETLINK, exchanges

from tracer import plot
from tracer.plot.latency import _steps
from tracer.tables import stage_table
from tracer.units import time_text


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


def test_the_legend_counts_the_steps_of_colour() -> None:
    frame = exchanges(24, "netlink", "x", NETLINK)
    frame.loc[:22, ["start_ns", "total_ns"]] = frame.loc[0, ["start_ns", "total_ns"]].tolist()
    one = exchanges(1, "notify", "y", NOTIFY)
    drawing = plot.heatmap(staged(pd.concat([frame, one], ignore_index=True)))
    written = [text.get_text() for text in drawing.texts]
    at = written.index("exchanges in a cell")
    assert written[at + 1 : at + 6] == ["1", "2 to 3", "4 to 6", "7 to 12", "13 or more"]
    swatches = [part.get_alpha() for part in drawing.artists if isinstance(part, Rectangle)]
    assert swatches == pytest.approx([0.44, 0.58, 0.72, 0.86, 1])
    strip = next(axes for axes in drawing.axes if axes.axison)
    assert sorted(patch.get_alpha() for patch in strip.patches) == pytest.approx([0.44, 1])


def test_every_strip_of_the_heat_map_has_its_channel_beside_it() -> None:
    drawing = plot.heatmap(varied({("netlink", "a"): 53, ("notify", "b"): 7}))
    width, height = drawing.get_size_inches() * 72
    strips = [axes.get_window_extent() for axes in drawing.axes if axes.axison]
    assert height > strips[0].y1 > strips[0].y0 > strips[1].y1 > strips[1].y0 > 20
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawing.texts]
    for strip, told in zip(strips, ("netlink 53", "notify 7"), strict=True):
        assert strip.x1 < width
        beside = [t for t, box in boxes if box.x1 < strip.x0 and strip.y0 < box.y0 < strip.y1]
        assert " ".join(beside) == f"{told} exchanges"


def test_a_hill_is_the_histogram_of_its_type() -> None:
    run = varied({("netlink", "a"): 503})
    (axes,) = plot.distribution(run).axes
    (hill,) = axes.patches
    heights, edges, _baseline = hill.get_data()
    counts, _edges = np.histogram(run.exchanges["total_ns"].to_numpy(np.int64), edges)
    assert counts.sum() == 503
    np.testing.assert_allclose(heights, counts / counts.max())
    low, high = axes.get_ylim()
    assert low <= 0 < 1 <= high


def test_every_line_of_the_distribution_has_its_name_and_quantiles_beside_it() -> None:
    drawing = plot.distribution(varied({("netlink", "a"): 53, ("notify", "b"): 1}))
    names = (["a", "netlink, 53 exchanges"], ["b", "notify, 1 exchange"])
    for axes, told in zip(drawing.axes, names, strict=True):
        panel = axes.get_window_extent()
        boxes = [(text.get_text(), text.get_window_extent()) for text in drawing.texts]
        beside = [(t, box) for t, box in boxes if panel.y0 < (box.y0 + box.y1) / 2 < panel.y1]
        assert [text for text, box in beside if box.x1 < panel.x0] == told
        assert len([text for text, box in beside if box.x0 > panel.x1]) == 3


def test_the_legend_of_sizes_names_the_types() -> None:
    run = varied({("netlink", "a"): 53, ("netlink", "b"): 53, ("notify", "c"): 53})
    drawing = plot.sizes(run)
    (axes,) = drawing.axes
    assert [text.get_text() for text in drawing.texts] == [
        "netlink · a",
        "netlink · b",
        "notify · c",
    ]
    places = [text.get_window_extent() for text in drawing.texts]
    assert places[0].y0 > places[1].y1 > places[1].y0 > places[2].y1
    assert min(place.x0 for place in places) > axes.get_window_extent().x1
    joined = [line for line in axes.lines if line.get_linestyle() == "-"]
    legend = [artist for artist in drawing.get_children() if isinstance(artist, Line2D)]
    assert [line.get_marker() for line in joined] == ["o", "s", "o"]
    assert [line.get_marker() for line in legend] == ["o", "s", "o"]
    for mark, place in zip(legend, places, strict=True):
        x, y = mark.get_transform().transform(mark.get_xydata()[0])
        assert 0 < place.x0 - x < 20
        assert place.y0 < y < place.y1


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
