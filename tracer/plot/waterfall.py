# SPDX-License-Identifier: GPL-2.0-or-later
"""The waterfall figure: an exchange's stages as bars, each at its place in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from matplotlib.ticker import MaxNLocator

from tracer.colours import STAGE_COLOURS
from tracer.correlate.stages import STAGES
from tracer.plot.style import (
    MUTED,
    TEXT_PX,
    Drawing,
    area,
    nothing,
    sheet,
    shortened,
    stacked,
    styled,
    write,
)
from tracer.plot.types import Type, types
from tracer.units import axis_unit, time_text

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

PANEL = 500
_LABELS, _VALUES, _ROW, _HEAD, _FOOT, _GAP = 92, 76, 22, 50, 46, 40
_LEAST = 1.5  # pixels: the shortest bar that is still visible


class Piece(NamedTuple):
    """A stage of an exchange for once: its begin since the exchange began, and its length (ns)."""

    stage: str
    begin_ns: int
    dur_ns: int


def pieces(run: Frames, row: int) -> list[Piece]:
    """The stages of the exchange in row ``row`` of ``run.exchanges``, sorted by begin.

    Gaps between them are pieces with the stage ``unexplained``, so that all last ``total_ns``.
    """
    start = int(run.exchanges.at[row, "start_ns"])
    total = run.exchanges.at[row, "total_ns"]
    end = start + (0 if pd.isna(total) else int(total))
    stages = run.stages[run.stages["exchange"] == row].sort_values("start_ns", kind="stable")
    told: list[Piece] = []
    now = start
    for stage, begin, length in zip(
        stages["stage"].astype(str), stages["start_ns"], stages["dur_ns"], strict=True
    ):
        if begin > now:
            told.append(Piece("unexplained", now - start, int(begin - now)))
        told.append(Piece(stage, int(begin - start), int(length)))
        now = max(now, int(begin + length))
    if end > now:
        told.append(Piece("unexplained", now - start, end - now))
    return told


def waterfall(run: Frames, only: tuple[str, str] | None = None) -> Drawing:
    """Where the median exchange of each type spent its time.

    One panel per type, or only that of the type ``only`` (channel and name). The median
    exchange is a real one: the first whose total is the type's p50. x: time since it began
    (linear, in the panel's own unit); y: its stages from first to last; at the right how long
    each took. A stage that it was in several times (as with the parts of a dump) has several
    bars in one line.
    """
    shown = [t for t in types(run) if only is None or only == (t.channel, t.name)]
    return median(run, shown)


def median(run: Frames, shown: list[Type]) -> Drawing:
    """The same as :func:`waterfall`, for types that the caller has computed already."""
    panels = [
        (t.title, f"median of {len(t.exchanges):,}: {time_text(t.p50)}", pieces(run, t.median))
        for t in shown
    ]
    return _panels(panels, "Stages of the median exchange")


def exchange(run: Frames, row: int) -> Drawing:
    """One exchange's own waterfall; ``row`` is its row in ``run.exchanges``.

    x: time since it began (linear); y: its stages from first to last; at the right how long
    each took. Raises ``KeyError`` when there is no such row.
    """
    found = run.exchanges.loc[row]
    length = "unknown" if pd.isna(found["total_ns"]) else time_text(int(found["total_ns"]))
    told = f"exchange {row:,}, {found['status']}: {length}"
    return _panels([(f"{found['channel']} · {found['name']}", told, pieces(run, row))], "Stages")


def _panels(panels: list[tuple[str, str, list[Piece]]], what: str) -> Drawing:
    """Draw the panels in two columns; a single panel takes the whole width."""
    heads = "; ".join(f"{title}, {told}" for title, told, _found in panels)
    panels = [panel for panel in panels if panel[2]]
    with styled():
        if not panels:
            return nothing(PANEL, heads or "no exchange was completed")
        pairs = [panels[i : i + 2] for i in range(0, len(panels), 2)]
        heights = [max(_height(panel[2]) for panel in pair) for pair in pairs]
        columns = 1 if len(panels) == 1 else 2
        drawing = sheet(
            columns * PANEL + (columns - 1) * _GAP,
            sum(heights) + _GAP / 2 * (len(pairs) - 1),
            f"{what}: {heads}",
        )
        for pair, top in zip(pairs, stacked(heights, _GAP / 2, 0), strict=True):
            for column, (title, told, found) in enumerate(pair):
                _panel(drawing, column * (PANEL + _GAP), top, title, told, found)
        return drawing


def _lines(found: list[Piece]) -> list[str]:
    seen = {piece.stage for piece in found}
    return [stage for stage in (*STAGES, "unexplained") if stage in seen]


def _height(found: list[Piece]) -> float:
    return _HEAD + _ROW * len(_lines(found)) + _FOOT


def _panel(
    drawing: Drawing, left: float, top: float, title: str, told: str, found: list[Piece]
) -> None:
    lines = _lines(found)
    end = max(1, max(piece.begin_ns + piece.dur_ns for piece in found))
    unit, scale = axis_unit(end)
    write(drawing, left, top + 16, shortened(title, 54), weight="bold")
    write(drawing, left, top + 35, told, color=MUTED)
    width = PANEL - _LABELS - _VALUES
    axes = area(drawing, left + _LABELS, top + _HEAD, width, _ROW * len(lines))
    axes.set_xlim(0, end / scale)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    least = _LEAST / width * end / scale
    for line, stage in enumerate(lines):
        bars = [piece for piece in found if piece.stage == stage]
        axes.broken_barh(
            [(b.begin_ns / scale, max(b.dur_ns / scale, least)) for b in bars],
            (line - 0.34, 0.68),
            facecolor=STAGE_COLOURS[stage],
            clip_on=False,
        )
        baseline = top + _HEAD + (line + 0.5) * _ROW + TEXT_PX * 0.35
        write(drawing, left + _LABELS - 10, baseline, stage, ha="right")
        length = time_text(sum(bar.dur_ns for bar in bars))
        write(drawing, left + PANEL, baseline, length, ha="right")
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:,g}")
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{unit} since the exchange began", labelpad=4)
