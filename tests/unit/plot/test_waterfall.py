# SPDX-License-Identifier: GPL-2.0-or-later
"""Waterfalls: what is drawn is what the frames hold."""

from __future__ import annotations

import pandas as pd
import pytest
from plot_doubles import empty, staged
from report_doubles import GET, NETLINK, exchanges

from tracer import plot
from tracer.plot.style import STAGE_COLOURS, Drawing
from tracer.plot.waterfall import pieces
from tracer.report.tables import stage_table
from tracer.report.units import time_text


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
