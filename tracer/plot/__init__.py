# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of a run, the same in a notebook and in the report's page.

They are drawn by matplotlib as SVG with real text. Such a figure has a few kilobytes, prints
sharply, needs no script, and takes the colours of a light or a dark page. plotly would allow
to zoom, but it adds four megabytes of script to every page, and prints only the visible part.

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
        """The stages of each type's median exchange: see :func:`tracer.plot.waterfall`."""
        return waterfall(self._run, only)

    def distribution(self) -> Drawing:
        """The latencies of each type on a log axis: see :func:`tracer.plot.distribution`."""
        return distribution(self._run)

    def heatmap(self) -> Drawing:
        """The latencies over time: see :func:`tracer.plot.heatmap`."""
        return heatmap(self._run)

    def sizes(self) -> Drawing:
        """The latencies by bytes of request and reply: see :func:`tracer.plot.sizes`."""
        return sizes(self._run)

    def exchange(self, row: int) -> Drawing:
        """The stages of the exchange in row ``row``: see :func:`tracer.plot.exchange`."""
        return exchange(self._run, row)

    def compare(self, other: Frames | Sequence[Frames]) -> Drawing:
        """This run beside one or several others: see :func:`tracer.plot.compare`."""
        return compare(self._run, other)
