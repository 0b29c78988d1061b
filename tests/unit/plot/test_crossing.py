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
