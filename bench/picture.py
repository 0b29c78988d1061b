# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of a result: what each tool adds to a netlink echo."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from bench.result import Result
from tracer.plot.style import CHANNEL_COLOURS, MUTED, SMALL_PX, Drawing, area, sheet, styled, write

CALL = "netlink"
_WIDTH, _LABELS, _RIGHT, _ROW, _HEAD, _FOOT = 760, 190, 80, 26, 44, 28
#: Where what is less is drawn: a logarithmic axis has no place for nothing.
_LEAST = 100
_STEPS = [step * 10**decade for decade in range(2, 7) for step in (1, 2, 5)]


def picture(result: Result) -> Drawing:
    """A point for each tool, on a logarithmic axis of instructions; ours have the colour."""
    added = dict(sorted(result.added(CALL).items(), key=lambda item: item[1]))
    height = _HEAD + _ROW * len(added) + _FOOT
    untraced = result.untraced(CALL)
    told = ", ".join(f"{name} {value:,}" for name, value in added.items())
    with styled():
        drawing = sheet(_WIDTH, height, f"Instructions added to a netlink echo: {told}")
        head = f"Instructions added to a netlink echo of {untraced:,} (kernel {result.kernel})"
        write(drawing, 0, 18, head, weight="bold")
        axes = area(drawing, _LABELS, _HEAD, _WIDTH - _LABELS - _RIGHT, _ROW * len(added))
        for row, (name, value) in enumerate(added.items()):
            _point(axes, row, name, value)
        _scale(axes, added, untraced)
    return drawing


def _point(axes: Axes, row: int, name: str, value: int) -> None:
    colour = CHANNEL_COLOURS[CALL] if name.startswith("tracer") else MUTED
    place = max(value, _LEAST)
    axes.plot([place], [row], "o", color=colour, markersize=8)
    axes.annotate(
        f"{value:,}", (place, row), (9, 0), textcoords="offset points",
        va="center", size=SMALL_PX, color=colour,
    )  # fmt: skip


def _scale(axes: Axes, added: dict[str, int], untraced: int) -> None:
    """Make the axes; a line stands where a tool adds as much as the call itself takes."""
    low, high = max(min(added.values()), _LEAST) * 0.7, max(added.values()) * 1.3
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(added) - 0.5, -0.5)
    axes.set_yticks(range(len(added)), list(added))
    axes.xaxis.set_major_locator(FixedLocator([step for step in _STEPS if low <= step <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.axvline(untraced, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(
        "as much as the call itself", (untraced, 1), (4, 6), xycoords=("data", "axes fraction"),
        textcoords="offset points", size=SMALL_PX, color=MUTED,
    )  # fmt: skip
