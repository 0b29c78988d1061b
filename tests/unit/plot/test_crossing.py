# SPDX-License-Identifier: GPL-2.0-or-later
"""Channels against each other: what is drawn is what the table holds."""

from __future__ import annotations

import pandas as pd
import pytest

from tracer.plot.crossing import crossing
from tracer.plot.style import CHANNEL_COLOURS


def table(count: int = 1, **changed: int) -> pd.DataFrame:
    """Netlink is slower below 160 bytes and faster above."""
    rows = [
        {"channel": channel, "threads": n, "payload_bytes": payload, "level_ns": ns,
         "low_ns": ns - 10, "high_ns": ns + 10} | changed
        for n in range(1, count + 1)
        for channel, payload, ns in (
            ("netlink", 16, 2000), ("netlink", 1600, 2000),
            ("getsockopt", 16, 1000), ("getsockopt", 1600, 4000),
            ("setsockopt", 16, 70), ("setsockopt", 1600, 70),
        )
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_lines_are_the_levels() -> None:
    (axes,) = crossing(table()).axes
    drawn = {tuple(line.get_ydata()): line.get_color() for line in axes.lines[:2]}
    assert drawn == {
        (2000, 2000): CHANNEL_COLOURS["netlink"],
        (1000, 4000): CHANNEL_COLOURS["getsockopt"],
    }
    assert axes.lines[0].get_xdata().tolist() == [16, 1600]
    low, high = axes.collections[0].get_segments()[0][:, 1]
    assert (low, high) == (1990, 2010)


def test_where_they_cross_is_named() -> None:
    (axes,) = crossing(table()).axes
    assert axes.lines[2].get_xdata()[0] == pytest.approx(160, abs=1)
    assert [text.get_text() for text in axes.texts] == ["160"]
    (axes,) = crossing(table(), "netlink", "setsockopt").axes
    assert (len(axes.lines), len(axes.texts)) == (2, 0)


def test_what_is_drawn_is_told_in_words() -> None:
    told = crossing(table(2)).described
    assert told.startswith("Latency by payload: netlink 16 bytes 2.00 µs, 1 thread; ")
    assert "getsockopt 1,600 bytes 4.00 µs, 2 threads" in told
    assert "setsockopt" not in told
    assert told.endswith("1 thread cross at about 160 bytes; 2 threads cross at about 160 bytes")


def test_channels_are_set_apart() -> None:
    (axes,) = crossing(table(), "getsockopt", "netlink").axes
    first, second = (line.get_transform().transform((16, 2000)) for line in axes.lines[:2])
    assert second - first == pytest.approx([6, 0])


def test_panels_lie_beside_and_below_each_other() -> None:
    drawing = crossing(table(5))
    width, height = drawing.get_size_inches() * 72
    boxes = [axes.get_window_extent() for axes in drawing.axes]
    first, second, third = (boxes[place].x0 for place in range(3))
    assert [box.x0 for box in boxes[3:]] == pytest.approx([first, second])
    assert 0 < first < boxes[0].x1 < second < boxes[1].x1 < third < boxes[2].x1 < width
    assert height > boxes[0].y1 > boxes[0].y0 > boxes[3].y1 > boxes[3].y0 > 0
    titles = [text for text in drawing.texts if "thread" in text.get_text()]
    for title, box in zip(titles, boxes, strict=True):
        assert box.x0 == pytest.approx(title.get_window_extent().x0, abs=2)
        assert 0 < title.get_window_extent().y0 - box.y1 < 20
    labelled = [axes.yaxis.get_tick_params()["labelleft"] for axes in drawing.axes]
    assert labelled == [True, False, False, True, False]


def test_panels_share_their_axes() -> None:
    many = pd.concat([table(4), table(1, threads=16, level_ns=90_000, high_ns=90_001)])
    drawing = crossing(many)
    assert len(drawing.axes) == 5
    assert len({axes.get_xlim() for axes in drawing.axes}) == 1
    assert len({axes.get_ylim() for axes in drawing.axes}) == 1
    assert drawing.axes[0].get_ylim()[1] > 90_000
    titles = [text.get_text() for text in drawing.texts]
    assert [t for t in titles if "thread" in t] == [
        "1 thread", "2 threads", "3 threads", "4 threads", "16 threads",
    ]  # fmt: skip


def test_a_payload_of_nothing_has_a_place_on_a_log_axis() -> None:
    (axes,) = crossing(table(payload_bytes=0)).axes
    assert axes.lines[0].get_xdata().tolist() == [1, 1]


def test_a_level_of_nothing_too() -> None:
    (axes,) = crossing(table(level_ns=0, low_ns=0)).axes
    assert axes.lines[0].get_ydata().tolist() == [1, 1]


def test_nothing_to_draw_is_said() -> None:
    drawing = crossing(table(), "notify", "peer")
    assert "no exchange of notify or peer" in drawing.described
