# SPDX-License-Identifier: GPL-2.0-or-later
"""The report's page in a real browser: nothing cut, empty or overlapping; light, dark, printed.

With TRACER_SCREENSHOTS=DIR the pages, screenshots and PDF stay there to be looked at.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import LAPTOP, PAPER_HEIGHT, PAPER_WIDTH, Chromium
from matplotlib.image import imread
from plot_doubles import crowded, empty

from tracer.report.html import page
from tracer.run import load

RECORDING = Path(__file__).parents[1] / "data" / "all-channels"
RUNS = {"lab": lambda: load(RECORDING), "crowded": crowded, "empty": empty}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium is missing; run make setup, or apt-get install chromium")
    return Chromium(program, tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what was made is kept."""
    if wanted := os.environ.get("TRACER_SCREENSHOTS"):
        Path(wanted).mkdir(parents=True, exist_ok=True)
        return Path(wanted).resolve()
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module", params=RUNS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def text(name: str, kept: Path) -> str:
    made = page(RUNS[name]())
    (kept / f"{name}.html").write_text(made, encoding="utf-8")
    return made


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_laptop_shows_all_of_it(
    browser: Chromium, text: str, name: str, kept: Path, dark: bool
) -> None:
    found = browser.measure(text, LAPTOP, dark)
    assert found["wrong"] == []
    assert (found["width"], found["dark"]) == (LAPTOP, dark)
    shot = kept / f"{name}-{'dark' if dark else 'light'}.png"
    browser.screenshot(kept / f"{name}.html", shot, found["height"], dark)
    picture = imread(shot)
    assert picture.shape[:2] == (found["height"], LAPTOP)
    assert (float(np.median(picture[..., :3])) < 0.2) == dark
    assert picture[..., :3].std() > 0.03


@pytest.mark.parametrize("width", [1024, 820])
def test_a_narrow_window_shows_all_of_it(browser: Chromium, text: str, width: int) -> None:
    assert browser.measure(text, width)["wrong"] == []


def test_paper_shows_all_of_it(browser: Chromium, text: str, name: str, kept: Path) -> None:
    printed = text.replace("@media print", "@media all").replace("@media screen", "@media not all")
    assert printed != text
    found = browser.measure(printed, PAPER_WIDTH)
    assert found["wrong"] == []
    assert found["tallest"] < PAPER_HEIGHT, "something does not fit on one page"
    pdf = kept / f"{name}.pdf"
    browser.print(kept / f"{name}.html", pdf)
    made = pdf.read_bytes()
    assert made.startswith(b"%PDF")
    assert made.rstrip().endswith(b"%%EOF")


def test_it_has_the_figures(browser: Chromium) -> None:
    found = browser.measure(page(load(RECORDING)), LAPTOP)
    # Six types, three more figures, twenty slow exchanges, and the legend's swatches.
    assert found["figures"] >= 6 + 3 + 20
    assert found["texts"] > 100


SVG = '<svg width="200" height="50" viewBox="0 0 200 50" aria-label="it">{}</svg>'
SHAPE = '<rect width="9" height="9"/>'


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ('<div style="width: 5000px">wide</div>', "cut: the page"),
        ('<p style="width: 20px; white-space: nowrap">much too long</p>', "cut: p"),
        ('<p style="position: absolute; left: -90px">left</p>', "outside: p"),
        ('<p style="color: #ccc">faint</p>', "faint"),
        (SVG.format(""), "empty: it"),
        (f'<div style="display: none">{SVG.format(SHAPE)}</div>', "empty: it"),
        (SVG.format(f'{SHAPE}<text x="190" y="20">cut off</text>'), 'cut: text "cut off" in it'),
        (SVG.format(f'{SHAPE}<text y="20">one</text><text y="24">two</text>'), "overlap: text"),
    ],
)
def test_the_measure_finds_what_is_wrong(browser: Chromium, body: str, what: str) -> None:
    found: dict[str, Any] = browser.measure(
        f'<!DOCTYPE html><html><body style="background: white">{body}</body></html>', LAPTOP
    )
    assert any(one.startswith(what) for one in found["wrong"]), found["wrong"]
