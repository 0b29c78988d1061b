# SPDX-License-Identifier: GPL-2.0-or-later
"""How figures look: colours, fonts, axes, and the sheet that they are drawn on.

Lengths are in CSS pixels. The colours ``INK``, ``MUTED``, ``RULE`` and ``GROUND`` stand for
those of the page around a figure. No other colour has the same value, so that
:mod:`tracer.plot.svg` can replace them by the page's own colours (light or dark).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from tracer.units import byte_ticks, log_ticks, step_text

INK, MUTED, RULE, GROUND = "#1b1f24", "#5c636b", "#d8dce1", "#fffffe"

CHANNEL_COLOURS = {
    "netlink": "#2f83c5",
    "setsockopt": "#d4570f",
    "getsockopt": "#158a63",
    "notify": "#8265b8",
    "peer": "#b8860b",
}

TEXT_PX = 13
SMALL_PX = 12
#: matplotlib computes widths for DejaVu Sans, which is wide. A page shows the text in its own
#: font, which is narrower, so nothing overlaps there.
_RC: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT_PX,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold dollar signs
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL_PX,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL_PX,
    "ytick.labelsize": SMALL_PX,
    "xtick.major.size": 4,
    "ytick.major.size": 0,
    "xtick.minor.size": 2,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "figure.facecolor": GROUND,
    "figure.edgecolor": "none",
    "figure.dpi": 72,  # one unit of SVG, and one point, is one pixel
    "savefig.dpi": 72,
    "svg.fonttype": "none",
    "svg.hashsalt": "tracer",
}


_POINTS = re.compile(r'(width|height)="([\d.]+)pt"')


class Drawing(Figure):
    """A matplotlib figure that Jupyter can show without a matplotlib backend.

    ``described`` says in words what the figure shows, for readers who cannot see it.
    """

    described: str = ""

    def _repr_svg_(self) -> str:
        return self.svg()

    def svg(self) -> str:
        """The figure as an SVG document. Equal figures give equal text."""
        out = io.StringIO()
        with styled():
            self.savefig(
                out,
                format="svg",
                metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"), None),
            )
        return _POINTS.sub(r'\1="\2"', out.getvalue(), count=2)


def styled() -> AbstractContextManager[None]:
    """A context in which matplotlib uses the settings of this module; then the user's are back."""
    return mpl.rc_context(_RC)


def sheet(width: float, height: float, described: str) -> Drawing:
    """An empty figure of this width and height in pixels."""
    drawing = Drawing(figsize=(width / 72, height / 72), dpi=72)
    drawing.described = described
    return drawing


def area(drawing: Drawing, left: float, top: float, width: float, height: float) -> Axes:
    """Axes with a lower spine only; their place is in pixels from the upper left corner."""
    whole_width, whole_height = drawing.get_size_inches() * 72
    axes = drawing.add_axes(
        (
            left / whole_width,
            1 - (top + height) / whole_height,
            width / whole_width,
            height / whole_height,
        )
    )
    axes.spines[["left", "right", "top"]].set_visible(False)
    return axes


def write(drawing: Drawing, left: float, top: float, text: str, **how: Any) -> None:
    """Write text; its baseline begins at this place, in pixels from the upper left corner."""
    width, height = drawing.get_size_inches() * 72
    drawing.text(left / width, 1 - top / height, text, va="baseline", **how)


def nothing(width: float, why: str) -> Drawing:
    """A figure for the case that there is nothing to draw: a line of text that says why."""
    drawing = sheet(width, 40, why)
    write(drawing, 0, 26, why, color=MUTED)
    return drawing


def shortened(text: str, length: int) -> str:
    """The text, cut in the middle to at most ``length`` characters."""
    if len(text) <= length:
        return text
    return f"{text[: length - length // 2 - 1]}…{text[-(length // 2) :]}"


def log_axis(
    axes: Axes, which: str, limits: tuple[float, float], times: bool = True, most: int = 7
) -> None:
    """Make an axis logarithmic, for times in ns or (``times`` False) for bytes.

    ``which`` is ``x`` or ``y``; an axis of times gets at most ``most`` labels.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    set_scale, set_limits = (
        (axes.set_xscale, axes.set_xlim) if which == "x" else (axes.set_yscale, axes.set_ylim)
    )
    set_scale("log")
    set_limits(*limits)
    major, minor = log_ticks(*limits, most) if times else byte_ticks(*limits)
    axis.set_major_locator(FixedLocator(major))
    axis.set_minor_locator(FixedLocator(minor) if which == "x" else NullLocator())
    # Labels by set_ticklabels would make every tick now and again when the figure is drawn.
    labels = [step_text(tick) if times else f"{tick:,.0f}" for tick in major]
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_formatter(lambda value, place: "")
    axis.grid(True, which="major")
    axes.set_axisbelow(True)


def stacked(heights: Sequence[float], gap: float, top: float) -> Iterator[float]:
    """The upper edges of parts with these heights, placed below each other from ``top`` on."""
    for height in heights:
        yield top
        top += height + gap
