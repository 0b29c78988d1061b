# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as one HTML page that loads no other file, and a run's summary in a notebook.

The numbers are those of :mod:`tracer.tables`, as in the text. The templates escape all texts that
come from a recording.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tracer import tables
from tracer.correlate.stages import STAGES
from tracer.output import write_whole
from tracer.tables.slowest import program, slowest_table
from tracer.units import count_text

if TYPE_CHECKING:
    from tracer.frames.frames import Frames
    from tracer.plot.types import Type
    from tracer.plot.waterfall import Piece

_SIZE_NAMES = {"request_bytes": "request", "reply_bytes": "reply", "copied_bytes": "copied"}
_BAR = 1000  # the width of a small waterfall in its own units


class Block(NamedTuple):
    """One type of exchange: its table of stages and the figure beside it."""

    stages: list[Any]
    figure: Markup


class Slow(NamedTuple):
    """One of the slowest exchanges: its row, its line in the table, and its small waterfall."""

    row: int
    of: Any
    program: str
    bars: list[Bar]


class Bar(NamedTuple):
    """A stage in a small waterfall: its place in thousandths of the whole, and its label."""

    stage: str
    left: float
    width: float
    title: str


def write_page(run: Frames, path: Path) -> None:
    """Write the page of ``run`` to ``path``, whole or not at all.

    Raises :class:`tracer.errors.TracerError` when it cannot be written there.
    """
    text = page(run)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def page(run: Frames) -> str:
    """The whole report as an HTML document."""
    # Late: matplotlib takes half a second to import, and a notebook's summary needs none.
    from tracer import plot
    from tracer.colours import STAGE_COLOURS
    from tracer.plot.svg import inline
    from tracer.plot.types import types

    stages = tables.stage_table(run.exchanges)
    shown = types(run, stages)
    figures = {
        name: Markup(inline(draw(run, shown), name))
        for name, draw in (
            ("distribution", plot.distribution),
            ("heatmap", plot.heatmap),
            ("sizes", plot.sizes),
        )
    }
    slow = _slowest(run)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            facts=tables.facts(run),
            reasons=tables.reasons(run),
            losses=tables.losses(run),
            overview=_overview(stages),
            blocks=_blocks(run, stages, shown),
            figures=figures,
            sizes=_sizes(run.exchanges),
            outcomes=list(tables.outcome_table(run.exchanges).itertuples()),
            slowest=slow,
            legend=_legend(slow, STAGE_COLOURS),
            colours=STAGE_COLOURS,
            bar=_BAR,
            ledger=list(run.ledger.itertuples()),
            plan=run.meta.get("plan") or [],
        )
    )


def summary(run: Frames) -> str:
    """A few lines of HTML: whether the run is trusted, what was recorded, latencies by type."""
    return (
        _environment()
        .get_template("summary.html.j2")
        .render(
            run=run,
            facts=tables.facts(run),
            reasons=tables.reasons(run),
            losses=tables.losses(run),
            overview=_overview(tables.stage_table(run.exchanges)),
        )
    )


@cache
def _environment() -> Environment:
    """The templates, which are compiled once: that takes as long as the rest of a page."""
    made = Environment(
        loader=PackageLoader("tracer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=_number, counted=count_text, percent=_percent, rate=_rate)
    return made


def _overview(stages: pd.DataFrame) -> list[Any]:
    return list(stages[stages["stage"] == "total"].itertuples())


def _blocks(run: Frames, stages: pd.DataFrame, shown: list[Type]) -> list[Block]:
    from tracer.plot.svg import inline
    from tracer.plot.waterfall import median

    groups = dict(list(stages.groupby(["channel", "name"], sort=False)))
    return [
        Block(
            list(groups[of.channel, of.name].itertuples()),
            Markup(inline(median(run, [of]), f"waterfall{number}")),
        )
        for number, of in enumerate(shown)
    ]


def _sizes(exchanges: pd.DataFrame) -> list[Any]:
    found = tables.size_table(exchanges)
    first = ~found.duplicated(["channel", "name"])
    return list(found.assign(of=found["size"].map(_SIZE_NAMES), first=first).itertuples())


def _slowest(run: Frames) -> list[Slow]:
    from tracer.plot.waterfall import pieces

    return [
        Slow(
            int(found.Index),
            found,
            program(found.comm, found.tid),
            _bars(pieces(run, int(found.Index)), int(found.total_ns)),
        )
        for found in slowest_table(run.exchanges).itertuples()
    ]


def _bars(found: list[Piece], total: int) -> list[Bar]:
    total = max(total, 1)
    return [
        Bar(
            piece.stage,
            round(piece.begin_ns / total * _BAR, 2),
            round(max(piece.dur_ns / total * _BAR, 1), 2),
            f"{piece.stage} {piece.dur_ns:,} ns, {piece.dur_ns / total:.1%}",
        )
        for piece in found
    ]


def _legend(slow: list[Slow], colours: dict[str, str]) -> list[list[str]]:
    """The stages in the small waterfalls, grouped by colour."""
    used = {bar.stage for one in slow for bar in one.bars}
    by_colour: dict[str, list[str]] = {}
    for stage in (*STAGES, "unexplained"):
        if stage in used:
            by_colour.setdefault(colours[stage], []).append(stage)
    return list(by_colour.values())


def _number(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:,}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _rate(value: float) -> str:
    return "" if pd.isna(value) else f"{value:,.1f}"
