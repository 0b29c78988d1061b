# SPDX-License-Identifier: GPL-2.0-or-later
"""A figure in a page is valid, keeps its ids to itself, and takes the page's colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache

import pytest
from plot_doubles import crowded, staged

from tracer import plot
from tracer.plot.style import Drawing
from tracer.plot.svg import VARIABLES, inline

FIGURES = {
    "waterfall": plot.waterfall,
    "distribution": plot.distribution,
    "heatmap": plot.heatmap,
    "sizes": plot.sizes,
    "compare": lambda run: plot.compare(run, staged()),
}


@cache
def figure(name: str) -> Drawing:
    return FIGURES[name](crowded())


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_well_formed_and_says_what_it_shows(name: str) -> None:
    drawing = figure(name)
    root = ET.fromstring(inline(drawing, name))
    assert root.tag == "svg"
    assert root.get("aria-label") == drawing.described
    width, height = drawing.get_size_inches() * 72
    assert (float(root.get("width", 0)), float(root.get("height", 0))) == (
        pytest.approx(width), pytest.approx(height),
    )  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_its_ids_are_its_own_and_every_reference_is_met(name: str) -> None:
    text = inline(figure(name), "mine")
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert all(one.startswith("mine-") for one in ids)
    assert set(re.findall(r'(?:url\(|href=")#([^)"]*)', text)) <= set(ids)


@pytest.mark.parametrize("name", FIGURES)
def test_the_page_decides_ink_ground_and_font(name: str) -> None:
    text = inline(figure(name), name)
    invisible = "stroke: #000000; stroke-opacity: 0"
    for colour in (*VARIABLES, "#000", "DejaVu"):
        assert colour not in text.replace(invisible, "")
    for style in re.findall(r'<text style="([^"]*)"', text):
        assert "fill: var(--" in style
        assert "var(--font)" in style
    assert "http" not in text


def test_equal_runs_make_equal_text() -> None:
    assert plot.waterfall(staged()).svg() == plot.waterfall(staged()).svg()


def test_jupyter_shows_it_without_a_backend() -> None:
    shown = plot.waterfall(staged())._repr_svg_()
    assert "<svg" in shown
    assert ET.fromstring(shown[shown.index("<svg") :]).get("width") == "1040"
