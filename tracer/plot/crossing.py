# SPDX-License-Identifier: GPL-2.0-or-later
"""The figure that compares two channels by payload and number of threads."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from tracer.plot.style import (
    CHANNEL_COLOURS,
    GROUND,
    MUTED,
    SMALL_PX,
    Drawing,
    area,
    log_axis,
    nothing,
    sheet,
    styled,
    write,
)
from tracer.tables.channels import crossings
from tracer.units import log_span, time_text

WIDE = 1080
_COLUMNS, _LEFT, _GAP = 3, 64, 28
_HEAD, _TITLE, _PANEL, _FOOT = 30, 30, 260, 50
_MARKS = {"netlink": "o", "setsockopt": "s", "getsockopt": "D"}


def crossing(table: pd.DataFrame, first: str = "netlink", second: str = "getsockopt") -> Drawing:
    """Latency by payload, one panel for each number of threads, all on the same axes.

    ``table`` is made by :func:`tracer.tables.channels.by_payload`. x: payload (bytes, log); y: the
    quantile that the table holds (log). A mark is the median over the runs, the upright line
    through it their range; the channels are shifted apart by a few pixels. A dashed line with
    a label is where the faster channel changes (:func:`tracer.tables.channels.crossings`).
    """
    shown = table[table["channel"].isin([first, second])]
    threads = sorted(shown["threads"].unique())
    with styled():
        if not threads:
            return nothing(WIDE, f"no exchange of {first} or {second}")
        found = crossings(shown, first, second)
        rows = -(-len(threads) // _COLUMNS)
        drawing = sheet(WIDE, _HEAD + rows * (_TITLE + _PANEL + _FOOT), _told(shown, found))
        _legend(drawing, (first, second))
        width = (WIDE - _LEFT - 8 - (_COLUMNS - 1) * _GAP) / _COLUMNS
        for place, number in enumerate(threads):
            row, column = divmod(place, _COLUMNS)
            left = _LEFT + column * (width + _GAP)
            top = _HEAD + row * (_TITLE + _PANEL + _FOOT)
            axes = area(drawing, left, top + _TITLE, width, _PANEL)
            _scales(axes, shown, labelled=column == 0)
            of_panel = shown[shown["threads"] == number]
            for channel, apart in ((first, -3), (second, 3)):
                _line(axes, of_panel[of_panel["channel"] == channel], apart)
            write(drawing, left, top + 18, _threads(number), weight="bold")
            _cross(axes, found[found["threads"] == number])
        return drawing


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _told(shown: pd.DataFrame, found: pd.DataFrame) -> str:
    medians = [
        f"{line.channel} {line.payload_bytes:,} bytes {time_text(line.level_ns)}, "
        f"{_threads(line.threads)}"
        for line in shown.itertuples()
    ]
    crossed = [
        f"{_threads(line.threads)} cross at about {line.about_bytes:,} bytes"
        for line in found.dropna().itertuples()
    ]
    return "Latency by payload: " + "; ".join(medians + crossed)


def _legend(drawing: Drawing, channels: tuple[str, str]) -> None:
    width, height = drawing.get_size_inches() * 72
    left = float(_LEFT)
    for channel in channels:
        drawing.add_artist(
            Line2D(
                [(left + 5) / width], [1 - 13.5 / height], marker=_MARKS.get(channel, "o"),
                markersize=8, color="none", markerfacecolor=CHANNEL_COLOURS[channel],
                markeredgecolor="none",
            )
        )  # fmt: skip
        write(drawing, left + 16, 18, channel)
        left += 32 + 8 * len(channel)
    write(drawing, left, 18, "median over runs, line over their range", color=MUTED, size=SMALL_PX)


def _scales(axes: Axes, shown: pd.DataFrame, labelled: bool) -> None:
    """Set the same limits in every panel, so that panels can be compared by eye."""
    payloads = shown["payload_bytes"].clip(lower=1)
    log_axis(axes, "x", log_span(float(payloads.min()), float(payloads.max())), times=False)
    levels = shown[["low_ns", "high_ns"]].clip(lower=1)
    log_axis(axes, "y", log_span(float(levels["low_ns"].min()), float(levels["high_ns"].max())))
    axes.set_xlabel("bytes of payload", labelpad=4)
    if not labelled:
        axes.tick_params(labelleft=False)


def _line(axes: Axes, of: pd.DataFrame, apart: float) -> None:
    """Draw a channel's line and ranges, shifted by ``apart`` pixels, since ranges may overlap."""
    if of.empty:
        return
    channel = str(of["channel"].iloc[0])
    colour, where = CHANNEL_COLOURS[channel], np.maximum(1, of["payload_bytes"])
    low, level, high = (np.maximum(1, of[name]) for name in ("low_ns", "level_ns", "high_ns"))
    moved = axes.transData + ScaledTranslation(apart / 72, 0, axes.figure.dpi_scale_trans)
    axes.vlines(where, low, high, color=colour, linewidth=1.4, alpha=0.7, transform=moved)
    axes.plot(
        where, level, color=colour, linewidth=1.2, marker=_MARKS.get(channel, "o"),
        markersize=8, markeredgecolor=GROUND, markeredgewidth=1, transform=moved,
    )  # fmt: skip


def _cross(axes: Axes, found: pd.DataFrame) -> None:
    for line in found.dropna().itertuples():
        axes.axvline(line.about_bytes, color=MUTED, linestyle="--", linewidth=1)
        axes.annotate(
            f"{line.about_bytes:,}", (line.about_bytes, 1), xycoords=("data", "axes fraction"),
            xytext=(4, -12), textcoords="offset pixels", color=MUTED, size=SMALL_PX,
        )  # fmt: skip
