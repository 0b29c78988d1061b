# SPDX-License-Identifier: GPL-2.0-or-later
"""Waterfalls: what is drawn is what the frames hold."""

from __future__ import annotations

import pandas as pd
import pytest
from plot_doubles import empty, staged, varied
from report_doubles import GET, NETLINK, exchanges

from tracer import plot
from tracer.colours import STAGE_COLOURS
from tracer.plot.style import Drawing
from tracer.plot.waterfall import pieces
from tracer.tables import stage_table
from tracer.units import time_text


def texts(drawing: Drawing) -> list[str]:
    return [text.get_text() for text in drawing.texts]


def test_one_panel_per_type_with_the_reports_median() -> None:
    drawing = plot.waterfall(staged())
    assert len(drawing.axes) == 2
    for total in stage_table(staged().exchanges).query("stage == 'total'").itertuples():
        assert f"{total.channel} · {total.name}" in texts(drawing)
        assert f"median of {total.count:,}: {time_text(total.p50_ns)}" in texts(drawing)


def test_the_bars_are_the_stages_of_the_median_exchange() -> None:
    drawing = plot.waterfall(staged(), only=("netlink", "msgchan echo"))
    (axes,) = drawing.axes
    assert len(axes.collections) == len(NETLINK)
    now = 0.0
    for bars, (stage, length) in zip(axes.collections, NETLINK.items(), strict=True):
        (path,) = bars.get_paths()
        box = path.get_extents()
        assert (box.x0, box.width) == pytest.approx((now, 51 * length / 1000)), stage
        now += 51 * length / 1000
    assert "µs since the exchange began" in axes.get_xlabel()


def test_every_line_has_its_stage_at_the_left_and_its_length_at_the_right() -> None:
    drawing = plot.waterfall(staged())
    for axes, stages, median in zip(drawing.axes, (GET, NETLINK), (12, 51), strict=True):
        panel = axes.get_window_extent()
        for bars, (stage, length) in zip(axes.collections, stages.items(), strict=True):
            bar = axes.transData.transform_bbox(bars.get_paths()[0].get_extents())
            assert panel.x0 - 1e-6 <= bar.x0 < bar.x1 <= panel.x1 + 1e-6
            assert panel.y0 <= bar.ymin < bar.ymax <= panel.y1
            beside = []
            for text in drawing.texts:
                box = text.get_window_extent()
                middle = (box.y0 + box.y1) / 2
                if panel.x0 - 92 <= box.x0 < panel.x1 + 76 and bar.ymin < middle < bar.ymax:
                    beside.append((text.get_text(), box.x1 < panel.x0, box.x0 > panel.x1))
            assert beside == [(stage, True, False), (time_text(median * length), False, True)]


def test_panels_stand_in_two_columns() -> None:
    drawing = plot.waterfall(varied({("netlink", name): 3 for name in "abc"}))
    width, height = drawing.get_size_inches() * 72
    first, second, third = (axes.get_window_extent() for axes in drawing.axes)
    assert 0 < first.x0 < first.x1 < second.x0 < second.x1 < width
    assert (third.x0, second.y1) == pytest.approx((first.x0, first.y1))
    assert height > first.y1 > first.y0 > third.y1 > third.y0 > 0
    titles = [text.get_window_extent() for text in drawing.texts if " · " in text.get_text()]
    for panel, title in zip((first, second, third), titles, strict=True):
        assert title.x0 <= panel.x0
        assert 20 < title.y0 - panel.y1 < 50


def test_a_stage_of_no_time_is_seen() -> None:
    (axes,) = plot.exchange(staged(exchanges(1, "netlink", "x", NETLINK | {"wake": 0})), 0).axes
    bars = axes.collections[list(NETLINK).index("wake")].get_paths()[0].get_extents()
    assert axes.transData.transform_bbox(bars).width == pytest.approx(1.5)


def test_pieces_make_the_whole() -> None:
    run = staged()
    for row in (0, 50, 101, 123):
        found = pieces(run, row)
        assert sum(piece.dur_ns for piece in found) == run.exchanges.loc[row, "total_ns"]
        assert "unexplained" not in {piece.stage for piece in found}


def test_gaps_are_unexplained() -> None:
    frame = exchanges(1, "getsockopt", "x", GET)
    run = staged(frame.assign(total_ns=pd.array([107], "Int64"), unexplained_ns=7))
    run.stages = run.stages[run.stages["stage"] != "handler"]
    found = pieces(run, 0)
    assert [(p.begin_ns, p.dur_ns) for p in found if p.stage == "unexplained"] == [
        (40, 40), (100, 7),
    ]  # fmt: skip
    assert sum(piece.dur_ns for piece in found) == 107


def test_a_stage_that_came_twice_has_two_bars_in_one_line() -> None:
    run = staged(exchanges(1, "getsockopt", "x", GET))
    again = run.stages[run.stages["stage"] == "copy"].assign(occurrence=1, start_ns=1_000_100)
    run.stages = pd.concat([run.stages, again])
    run.exchanges["total_ns"] += 10
    (axes,) = plot.exchange(run, 0).axes
    assert [len(bars.get_paths()) for bars in axes.collections] == [1, 1, 1, 2, 1, 1]


def test_one_exchange() -> None:
    drawing = plot.exchange(staged(), 50)
    assert "exchange 50, ok: 10.2 µs" in texts(drawing)
    with pytest.raises(KeyError):
        plot.exchange(staged(), 1009)


def test_an_exchange_of_unknown_length_shows_what_was_seen() -> None:
    run = staged(exchanges(1, "getsockopt", "x", GET, total_ns=pd.array([None], "Int64")))
    assert "exchange 0, ok: unknown" in texts(plot.exchange(run, 0))


def test_nothing_to_draw_is_said() -> None:
    assert texts(plot.waterfall(empty())) == ["no exchange was completed"]


def test_an_exchange_without_stages_or_length_is_named() -> None:
    run = staged(exchanges(1, "netlink", "x", {}, status="unmatched_user"))
    assert texts(plot.exchange(run, 0)) == ["netlink · x, exchange 0, unmatched_user: 0 ns"]


def test_colours_are_fixed() -> None:
    svg = plot.waterfall(staged()).svg()
    for stage in (*NETLINK, *GET):
        assert STAGE_COLOURS[stage] in svg
