# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of a run, the same in a notebook and in the report's page.

They are drawn by matplotlib, as SVG with real text: that is a few kilobytes a figure, prints
sharply, needs no script and takes the colours of a light or a dark page. plotly would let one
zoom, but puts four megabytes of script into every page and prints what happens to be in view.

Every function takes a run and returns a :class:`tracer.plot.style.Drawing`, which is a
matplotlib ``Figure``: ``figure.savefig("waterfall.png", dpi=144)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracer.plot.comparison import compare
from tracer.plot.latency import distribution, heatmap, sizes
from tracer.plot.style import Drawing
from tracer.plot.waterfall import exchange, waterfall

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

__all__ = [
    "Drawing", "Plots", "compare", "distribution", "exchange", "heatmap", "sizes", "waterfall",
]  # fmt: skip


class Plots:
    """``run.plot``: the figures of one run as methods."""

    def __init__(self, run: Frames) -> None:
        self._run = run

    def waterfall(self, only: tuple[str, str] | None = None) -> Drawing:
        """Stages of the median exchange per type: :func:`tracer.plot.waterfall`."""
        return waterfall(self._run, only)

    def distribution(self) -> Drawing:
        """Latencies per type, log axis: :func:`tracer.plot.distribution`."""
        return distribution(self._run)

    def heatmap(self) -> Drawing:
        """Latencies over time: :func:`tracer.plot.heatmap`."""
        return heatmap(self._run)

    def sizes(self) -> Drawing:
        """Latencies by bytes moved: :func:`tracer.plot.sizes`."""
        return sizes(self._run)

    def exchange(self, row: int) -> Drawing:
        """One exchange's stages, each where it lay in time: :func:`tracer.plot.exchange`."""
        return exchange(self._run, row)

    def compare(self, other: Frames | Sequence[Frames]) -> Drawing:
        """This run and another, or several, beside each other: :func:`tracer.plot.compare`."""
        return compare(self._run, other)
