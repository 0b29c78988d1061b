# SPDX-License-Identifier: GPL-2.0-or-later
"""The figure of two sides of runs beside each other: their stages and their latencies.

The figure only shows. Whether a change is more than chance is decided by :mod:`tracer.compare`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from tracer.compare.conditions import SHARED
from tracer.compare.digest import Digest, digest
from tracer.compare.resample import level
from tracer.correlate.stages import STAGES
from tracer.errors import TracerError
from tracer.plot.style import (
    CHANNEL_COLOURS,
    INK,
    MUTED,
    SMALL_PX,
    TEXT_PX,
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
from tracer.tables import stage_table
from tracer.tables.latency import Floats, Ints
from tracer.units import axis_unit, log_span, time_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tracer.frames.frames import Frames

WIDE = 1080
_LABELS, _BARS, _BASE, _NEW, _CHANGE, _SHARE = 92, 250, 76, 76, 80, 72
_CURVES = 700  # left edge of the distributions, in pixels
_PANEL_HEAD, _FOOT, _GAP, _LINE = 66, 46, 14, 22
_LEAST_HEIGHT = 150  # of a distribution, so that its labels p90 and p99 do not overlap
_MOST_POINTS = 400  # of a distribution's curve
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

Key = tuple[str, str]


class Shown(NamedTuple):
    """A run in the figure: whether it is of side new, its types, and their stage medians (ns)."""

    new: bool
    digest: Digest
    types: dict[Key, Type]
    medians: dict[Key, dict[str, int]]


def compare(base: Frames, new: Frames | Sequence[Frames]) -> Drawing:
    """The run ``base`` beside one run or several others. Only settled exchanges are counted.

    There is one panel per type of exchange. Left, x: the median of each stage (linear, in the
    panel's own unit); y: the stages in the order of an exchange, one bar per run. The medians of
    different stages do not add up. Beside the bars stand the median of each side (of several
    runs the trimmed mean of their medians, as in ``tracer compare``) and the change. Right, x:
    ``total_ns`` (log); y: the share of the exchanges that took at most that long, one curve
    per run. Base is grey, new has the channel's colour.

    A run that is not trusted is drawn with a dashed curve, and the head says why. The head also
    says what makes the runs incomparable. Raises :class:`tracer.errors.TracerError` when
    ``new`` is empty.
    """
    others = list(new) if isinstance(new, Sequence) else [new]
    if not others:
        raise TracerError("cannot compare", "there is no other run", "give at least one")
    runs = [_shown(run, side) for side, run in [(False, base), *((True, run) for run in others)]]
    keys = list(dict.fromkeys(key for run in runs for key in run.types))
    heads = _heads(runs)
    with styled():
        if not keys:
            return nothing(WIDE, f"no exchange was completed; {'; '.join(heads)}")
        stages = {key: _stages(runs, key) for key in keys}
        heights = [_height(len(stages[key]), len(runs)) for key in keys]
        head = _LINE * len(heads) + 14
        titles = [f"{' · '.join(key)}, {_told(runs, key)}" for key in keys]
        drawing = sheet(
            WIDE, head + sum(heights) + _GAP * (len(keys) - 1), "; ".join([*heads, *titles])
        )
        for line, text in enumerate(heads):
            weight = "normal" if line < 2 else "bold"
            write(drawing, 0, 16 + _LINE * line, shortened(text, 130), weight=weight)
        for key, top in zip(keys, stacked(heights, _GAP, head), strict=True):
            _panel(drawing, top, runs, key, stages[key])
        return drawing


def _shown(run: Frames, new: bool) -> Shown:
    found = {(t.channel, t.name): t for t in types(run)}
    medians: dict[Key, dict[str, int]] = {key: {} for key in found}
    for row in stage_table(run.exchanges).itertuples():
        medians[str(row.channel), str(row.name)][str(row.stage)] = int(row.p50_ns)
    return Shown(new, digest(run), found, medians)


def _heads(runs: list[Shown]) -> list[str]:
    """The lines at the head: the runs of both sides, then warnings about runs that need one."""
    sides = {
        name: [run for run in runs if run.new == new]
        for name, new in (("base", False), ("new", True))
    }
    told = [f"{side}: {', '.join(run.digest.name for run in of)}" for side, of in sides.items()]
    for side, of in sides.items():
        for run in of:
            if not run.types:
                told.append(f"{side} {run.digest.name} has no completed exchange")
            if run.digest.reasons:
                told.append(f"{side} {run.digest.name} is not trusted: {run.digest.reasons[0]}")
    for name in SHARED:
        values = list(dict.fromkeys(run.digest.conditions.get(name) for run in runs))
        if len(values) > 1:
            which = f": {' against '.join(map(str, values))}" if name != "plan" else ""
            told.append(f"not comparable, the {name} differs{which}")
    return told


def _stages(runs: list[Shown], key: Key) -> list[str]:
    """The stages that any of the runs has, in the order of an exchange."""
    seen: set[str] = set()
    for run in runs:
        found = run.medians.get(key, {})
        seen |= {stage for stage, ns in found.items() if ns or stage != "unexplained"}
    return [stage for stage in (*STAGES, "unexplained") if stage in seen]


def _level(runs: list[Shown], key: Key, stage: str, new: bool) -> float | None:
    """One side's median of a stage (its level over the runs), None if no run has that stage."""
    found = [
        run.medians[key][stage]
        for run in runs
        if run.new == new and stage in run.medians.get(key, {})
    ]
    return float(level(np.array(found, np.float64)[:, None])[0]) if found else None


def _told(runs: list[Shown], key: Key) -> str:
    """The text of a panel's title, such as ``p50 119 µs of 23, then 131 µs of 23 (+10.1%)``."""
    base, new = (_level(runs, key, "total", side) for side in (False, True))
    counts = [
        sum(len(run.types[key].exchanges) for run in runs if run.new == side and key in run.types)
        for side in (False, True)
    ]
    if base is None or new is None:
        side, count, p50 = ("new", counts[1], new) if base is None else ("base", counts[0], base)
        return f"only in {side}: p50 {time_text(p50 or 0)} of {count:,}"
    share = _share(base, new)
    change = f" ({share})" if share else ""
    return f"p50 {time_text(base)} of {counts[0]:,}, then {time_text(new)} of {counts[1]:,}{change}"


def _share(base: float, new: float) -> str:
    if base == new:
        return "same"
    if not base:
        return ""
    change = new / base - 1
    return f"{change:+,.0%}" if abs(change) >= 10 else f"{change:+.1%}"


def _row(runs: int) -> float:
    return max(24.0, 8 + 7 * runs)


def _height(stages: int, runs: int) -> float:
    return _PANEL_HEAD + max(_row(runs) * stages, _LEAST_HEIGHT) + _FOOT


def _panel(drawing: Drawing, top: float, runs: list[Shown], key: Key, stages: list[str]) -> None:
    write(drawing, 0, top + 16, shortened(" · ".join(key), 54), weight="bold")
    write(drawing, 0, top + 35, _told(runs, key), color=MUTED)
    _columns(drawing, top + _PANEL_HEAD - 10, CHANNEL_COLOURS[key[0]])
    here = [run for run in runs if key in run.types]
    _bars(drawing, top + _PANEL_HEAD, here, key, stages, _row(len(runs)))
    height = max(_row(len(runs)) * len(stages), _LEAST_HEIGHT)
    write(drawing, _CURVES, top + 35, "exchanges that took at most so long", color=MUTED)
    axes = area(drawing, _CURVES, top + _PANEL_HEAD - 10, WIDE - _CURVES - 20, height + 10)
    _curves(axes, here, key)


def _columns(drawing: Drawing, baseline: float, colour: str) -> None:
    """Write the heads of the columns of numbers, with the colours of the two sides."""
    right = _LABELS + _BARS
    for name, width, of in (("base", _BASE, MUTED), ("new", _NEW, colour), ("change", _CHANGE, "")):
        right += width
        write(drawing, right, baseline, name, ha="right", color=MUTED, size=SMALL_PX)
        if of:
            swatch = area(drawing, right - 46, baseline - 10, 10, 10)
            swatch.set_axis_off()
            swatch.fill([0, 1, 1, 0], [0, 0, 1, 1], facecolor=of)
            swatch.margins(0)


def _bars(
    drawing: Drawing, top: float, runs: list[Shown], key: Key, stages: list[str], row: float
) -> None:
    """Draw one bar per stage and run, base first, and write the numbers beside them."""
    end = max(max(run.medians[key].get(s, 0) for run in runs for s in stages), 1)
    unit, scale = axis_unit(end)
    axes = area(drawing, _LABELS, top, _BARS, row * len(stages))
    axes.set_xlim(0, 1.04 * end / scale)
    axes.set_ylim(len(stages) - 0.5, -0.5)
    thick = 0.72 / len(runs)
    for number, run in enumerate(runs):
        lines = [line for line, stage in enumerate(stages) if stage in run.medians[key]]
        axes.barh(
            [line - 0.36 + (number + 0.5) * thick for line in lines],
            [run.medians[key][stages[line]] / scale for line in lines],
            thick * 0.9,
            color=CHANNEL_COLOURS[key[0]] if run.new else MUTED,
        )
    for line, stage in enumerate(stages):
        baseline = top + (line + 0.5) * row + TEXT_PX * 0.35
        write(drawing, _LABELS - 10, baseline, stage, ha="right")
        _values(drawing, baseline, *(_level(runs, key, stage, new) for new in (False, True)))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:,g}")
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"median, {unit}", labelpad=4)


def _values(drawing: Drawing, baseline: float, base: float | None, new: float | None) -> None:
    """Write base, new and the change beside a stage's bars; leave out what is None."""
    right = _LABELS + _BARS
    for value, width in ((base, _BASE), (new, _NEW)):
        right += width
        if value is not None:
            write(drawing, right, baseline, time_text(value), ha="right", color=INK)
    if base is None or new is None:
        return
    sign = "" if new == base else "-" if new < base else "+"
    colour = MUTED if new == base else INK
    for text, width in (
        (f"{sign}{time_text(abs(new - base))}", _CHANGE),
        (_share(base, new), _SHARE),
    ):
        right += width
        write(drawing, right, baseline, text, ha="right", color=colour)


def _curves(axes: Axes, runs: list[Shown], key: Key) -> None:
    """Draw each run's empirical distribution, with grid lines at the quantiles."""
    every = np.concatenate([run.types[key].totals for run in runs])
    log_axis(axes, "x", log_span(float(every.min()), float(every.max())), most=5)
    for run in runs:
        x, y = _curve(run.types[key].totals)
        axes.plot(
            x, y, drawstyle="steps-post", linewidth=1.6 if run.new else 3.2,
            color=CHANNEL_COLOURS[key[0]] if run.new else MUTED,
            linestyle="--" if run.digest.reasons else "-",
        )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_locator(FixedLocator(list(_QUANTILES.values())))
    axes.yaxis.set_major_formatter(FixedFormatter(list(_QUANTILES)))
    axes.grid(True, axis="y")


def _curve(totals: Ints) -> tuple[Floats, Floats]:
    """The empirical distribution (x, share of the values <= x), at `_MOST_POINTS` at most."""
    ordered = np.sort(totals).astype(np.float64)
    count = ordered.size
    ranks = np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(np.int64)
    x = np.unique(ordered[ranks])
    y = np.searchsorted(ordered, x, side="right") / count
    return np.append(x[0], x), np.append(0.0, y)
