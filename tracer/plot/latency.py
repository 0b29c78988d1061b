# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of latency: distribution, over time, by size. Their latency axes are logarithmic.

Whoever draws several figures of a run computes its types once and hands them over as ``shown``.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from tracer.plot.style import (
    CHANNEL_COLOURS,
    GROUND,
    INK,
    MUTED,
    RULE,
    SMALL_PX,
    Drawing,
    area,
    log_axis,
    nothing,
    sheet,
    shortened,
    stacked,
    styled,
    write,
)
from tracer.plot.types import Type, types
from tracer.tables.latency import Floats, moved_bytes, settled, size_latency_table, time_edges
from tracer.units import axis_unit, log_span, time_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from tracer.frames.frames import Frames

WIDE = 1080
_NOTHING = "no exchange was completed"
_QUANTILE_MARKS = {"p50": "o", "p90": "D", "p99": "^"}
_TYPE_MARKS = "osD^vPX"
_BINS = 72


def distribution(run: Frames, shown: list[Type] | None = None) -> Drawing:
    """How the latencies of each type are distributed.

    One line per type, in the report's order. x: ``total_ns`` of its settled exchanges (log);
    y: exchanges per bin, the bins of equal width on the log axis, each line scaled to its own
    highest bin. p50, p90 and p99 are marked and written at the right. As in the report, each
    is a value that occurred.
    """
    shown = types(run) if shown is None else shown
    with styled():
        if not shown:
            return nothing(WIDE, _NOTHING)
        told = [f"{t.title} p50 {time_text(t.p50)}, p99 {time_text(t.p99)}" for t in shown]
        labels, values, head, row = 230, 88, 30, 58
        drawing = sheet(
            WIDE, head + row * len(shown) + 30, "Distribution of latencies: " + "; ".join(told)
        )
        limits = _limits(shown)
        edges = np.geomspace(*limits, _BINS + 1)
        right = WIDE - len(_QUANTILE_MARKS) * values
        _quantile_heads(drawing, right, values)
        for line, of in enumerate(shown):
            top = head + row * line
            write(drawing, 0, top + 26, shortened(of.name, 26), weight="bold")
            count = f"{of.channel}, {_exchanges(len(of.exchanges))}"
            write(drawing, 0, top + 44, count, color=MUTED, size=SMALL_PX)
            axes = area(drawing, labels, top + 6, right - labels - 16, row - 6)
            log_axis(axes, "x", limits)
            _hill(axes, of, edges)
            if line < len(shown) - 1:
                axes.tick_params(labelbottom=False, length=0)
                axes.xaxis.set_minor_locator(NullLocator())
                axes.spines["bottom"].set_color(RULE)
            for column, name in enumerate(_QUANTILE_MARKS):
                text = time_text(getattr(of, name))
                write(drawing, right + (column + 1) * values, top + 38, text, ha="right")
        return drawing


def _quantile_heads(drawing: Drawing, right: float, width: float) -> None:
    whole_width, whole_height = drawing.get_size_inches() * 72
    for column, (name, mark) in enumerate(_QUANTILE_MARKS.items()):
        place = right + (column + 1) * width
        write(drawing, place, 18, name, ha="right", color=MUTED)
        drawing.add_artist(
            Line2D(
                [(place - 36) / whole_width], [1 - 13.5 / whole_height], marker=mark,
                color="none", markerfacecolor=INK, markeredgecolor="none", markersize=7,
            )
        )  # fmt: skip


def _hill(axes: Axes, of: Type, edges: Floats) -> None:
    """Draw a type's histogram as an area above its baseline, and mark the quantiles there."""
    counts, _edges = np.histogram(of.totals, edges)
    axes.stairs(
        counts / counts.max(), edges, fill=True, facecolor=CHANNEL_COLOURS[of.channel], alpha=0.75
    )
    axes.set_ylim(-0.02, 1.1)
    axes.set_yticks([])
    for name, mark in _QUANTILE_MARKS.items():
        axes.plot(
            [max(1, getattr(of, name))], [0.14], marker=mark, markersize=8, clip_on=False,
            markerfacecolor=INK, markeredgecolor=GROUND, markeredgewidth=1,
        )  # fmt: skip


def heatmap(run: Frames, shown: list[Type] | None = None) -> Drawing:
    """Latencies over time.

    One strip per channel. x: when an exchange began, counted from the first one's begin (linear);
    y: its ``total_ns`` (log, the same in all strips). The stronger the colour, the more
    exchanges are in that cell; the legend says how many. Only settled exchanges are drawn.
    """
    shown = types(run) if shown is None else shown
    with styled():
        if not shown:
            return nothing(WIDE, _NOTHING)
        channels = list(dict.fromkeys(t.channel for t in shown))
        labels, strip, head, gap, foot = 170, 116, 34, 18, 46
        drawing = sheet(
            WIDE,
            head + len(channels) * (strip + gap) - gap + foot,
            f"Latency over time of {', '.join(channels)}",
        )
        limits = _limits(shown)
        starts = [t.exchanges["start_ns"].to_numpy(np.int64) for t in shown]
        first = int(run.exchanges["start_ns"].min())
        edges = time_edges(run.exchanges, 144)
        unit, scale = axis_unit(edges[-1])
        across = edges / scale
        up = np.geomspace(*limits, 25)
        cells = {}
        for channel in channels:
            of = [i for i, t in enumerate(shown) if t.channel == channel]
            begun = np.concatenate([(starts[i] - first) / scale for i in of])
            cells[channel] = np.histogram2d(
                begun, np.concatenate([shown[i].totals for i in of]), [across, up]
            )[0]
        steps = _steps(max(int(counts.max()) for counts in cells.values()))
        _step_legend(drawing, labels, steps)
        tops = stacked([strip] * len(channels), gap, head)
        for channel, top in zip(channels, tops, strict=True):
            count = sum(len(t.exchanges) for t in shown if t.channel == channel)
            write(drawing, 0, top + 16, channel, weight="bold")
            write(drawing, 0, top + 34, _exchanges(count), color=MUTED, size=SMALL_PX)
            axes = area(drawing, labels, top, WIDE - labels - 8, strip)
            _cells(axes, cells[channel], across, up, steps, CHANNEL_COLOURS[channel])
            axes.set_xlim(0, across[-1])
            log_axis(axes, "y", limits, most=4)
            axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 2.5, 5, 10]))
            axes.xaxis.set_major_formatter(lambda value, place: f"{value:,g}")
            if channel != channels[-1]:
                axes.tick_params(labelbottom=False)
        axes.set_xlabel(f"{unit} since the first exchange began", labelpad=4)
        return drawing


def _steps(most: int) -> list[int]:
    """The smallest count for each step of colour: 1, and up to four more, with equal ratios."""
    if most < 6:
        return list(range(1, most + 1))
    return sorted({round(step) for step in np.geomspace(1, most + 1, 6)[:-1]})


def _strength(step: int, steps: list[int]) -> float:
    return 0.3 + 0.7 * (step + 1) / len(steps)


def _step_legend(drawing: Drawing, left: float, steps: list[int]) -> None:
    """Draw swatches with their counts; they are grey, because each channel has its own colour."""
    width, height = drawing.get_size_inches() * 72
    write(drawing, left, 16, "exchanges in a cell", color=MUTED, size=SMALL_PX)
    left += 136
    for step, least in enumerate(steps):
        if step + 1 == len(steps):
            text = f"{least:,} or more"
        else:
            most = steps[step + 1] - 1
            text = f"{least:,}" if most == least else f"{least:,} to {most:,}"
        swatch = Rectangle(
            (left / width, 1 - (5 + 14) / height), 14 / width, 14 / height,
            facecolor=MUTED, alpha=_strength(step, steps), transform=drawing.transFigure,
        )  # fmt: skip
        drawing.add_artist(swatch)
        write(drawing, left + 20, 16, text, color=MUTED, size=SMALL_PX)
        left += 20 + 8 * len(text) + 20


def _cells(
    axes: Axes, counts: Floats, across: Floats, up: Floats, steps: list[int], colour: str
) -> None:
    """Draw the cells that are not empty, as few shapes, to keep the SVG small.

    Each step of colour is one path, and cells beside each other in time become one rectangle.
    """
    level = np.searchsorted(steps, counts, side="right") - 1
    edge = np.full((1, level.shape[1]), -1)
    for step in range(len(steps)):
        here = (np.vstack([edge, level, edge]) == step).astype(np.int8)
        y, first = np.nonzero(np.diff(here, axis=0).T == 1)
        _y, last = np.nonzero(np.diff(here, axis=0).T == -1)
        if not y.size:
            continue
        left, right, low, high = across[first], across[last], up[y], up[y + 1]
        corners = [(left, low), (right, low), (right, high), (left, high), (left, low)]
        points = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
        path = Path(points.reshape(-1, 2), codes * y.size)
        axes.add_patch(
            PathPatch(
                path, facecolor=colour, edgecolor="none", alpha=_strength(step, steps),
                antialiased=False,
            )
        )  # fmt: skip


def sizes(run: Frames, shown: list[Type] | None = None) -> Drawing:
    """Sizes against latency.

    x: bytes of request and reply together (log); y: ``total_ns`` of settled exchanges (log).
    Each type and size has a mark at its median and an upright line from p10 to p90; a line
    joins the medians of a type, and types are shifted apart by a few pixels. The sizes of a
    type that has more than 24 are put into 24 bins of equal ratio. The faint dots are single
    exchanges: all, or every nth, so that there are about 1,000 at most.
    """
    shown = types(run) if shown is None else shown
    with styled():
        if not shown:
            return nothing(WIDE, _NOTHING)
        left, legend, head, foot = 84, 250, 14, 50
        height = max(300, 24 * len(shown))
        drawing = sheet(
            WIDE, head + height + foot,
            f"Sizes against latency of {', '.join(t.title for t in shown)}",
        )  # fmt: skip
        every = moved_bytes(settled(run.exchanges))
        tables = dict(list(size_latency_table(run.exchanges, 24).groupby(["channel", "name"])))
        axes = area(drawing, left, head, WIDE - left - legend - 24, height)
        log_axis(axes, "x", log_span(float(every.min()), float(every.max())), times=False)
        log_axis(axes, "y", _limits(shown))
        nth = ceil(len(every) / 1000)
        used: dict[str, int] = {}
        for line, of in enumerate(shown):
            mark = _TYPE_MARKS[used.get(of.channel, 0) % len(_TYPE_MARKS)]
            used[of.channel] = used.get(of.channel, 0) + 1
            apart = (line - (len(shown) - 1) / 2) * min(6, 24 / len(shown))
            _size_marks(axes, of, tables[of.channel, of.name], mark, apart, nth)
            _legend_line(drawing, WIDE - legend, head + 12 + 24 * line, of, mark)
        axes.set_xlabel("bytes of request and reply", labelpad=4)
        return drawing


def _size_marks(
    axes: Axes, of: Type, by_size: pd.DataFrame, mark: str, apart: float, nth: int
) -> None:
    """Draw a type's medians, spans and every nth exchange, shifted right by ``apart`` pixels."""
    moved = axes.transData + ScaledTranslation(apart / 72, 0, axes.figure.dpi_scale_trans)
    colour = CHANNEL_COLOURS[of.channel]
    axes.plot(moved_bytes(of.exchanges)[::nth], of.totals[::nth], "o", color=colour, alpha=0.35,
              markersize=4, markeredgecolor="none", transform=moved)  # fmt: skip
    where = np.sqrt((by_size["from_bytes"] * by_size["to_bytes"]).to_numpy(np.float64))
    axes.vlines(where, by_size["p10_ns"], by_size["p90_ns"], color=colour, linewidth=1.4, alpha=0.7,
                transform=moved)  # fmt: skip
    axes.plot(where, by_size["p50_ns"], color=colour, linewidth=1.2, marker=mark, markersize=8,
              markeredgecolor=GROUND, markeredgewidth=1, transform=moved)  # fmt: skip


def _legend_line(drawing: Drawing, left: float, middle: float, of: Type, mark: str) -> None:
    width, height = drawing.get_size_inches() * 72
    drawing.add_artist(
        Line2D(
            [(left + 6) / width], [1 - middle / height], marker=mark, markersize=9,
            color="none", markerfacecolor=CHANNEL_COLOURS[of.channel], markeredgecolor="none",
        )
    )  # fmt: skip
    write(drawing, left + 20, middle + 4.5, shortened(of.title, 28))


def _limits(shown: list[Type]) -> tuple[float, float]:
    totals = np.concatenate([t.totals for t in shown])
    return log_span(float(totals.min()), float(totals.max()))


def _exchanges(count: int) -> str:
    return f"{count:,} exchange" if count == 1 else f"{count:,} exchanges"
