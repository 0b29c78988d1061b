# SPDX-License-Identifier: GPL-2.0-or-later
"""The site builds without a warning, its links lead somewhere, it loads nothing from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from documents import ROOT

from tracer.plot import Plots

DOCS = ROOT / "docs"
#: What makes a browser fetch: element -> attribute.
LOADS = {
    "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src",
    "audio": "src", "embed": "src", "object": "data", "image": "href", "use": "href",
}  # fmt: skip
#: Whom templates and extensions like to load from.
FOREIGN = re.compile(r"cdnjs|jsdelivr|unpkg|googleapis|gstatic|fontawesome\.com/|mathjax@", re.I)


class Page(HTMLParser):
    """What a built page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.figures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev", "search"):
            self.loads.append(given["href"])
        elif given.get(LOADS.get(tag, "")):
            self.loads.append(given[LOADS[tag]])
        if tag == "svg" and given.get("role") == "img":
            self.figures.append(given.get("aria-label", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` does."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(out / ".doctrees"), str(DOCS), str(out / "html")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Page]:
    return {file: Page(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}


def is_outside(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def test_every_page_is_built_and_in_the_navigation(site: Path, built: dict[Path, Page]) -> None:
    there = {link.partition("#")[0] for link in built[site / "index.html"].links}
    sources = [*DOCS.glob("*.md"), *DOCS.glob("notebooks/*.ipynb")]
    wanted = {str(s.relative_to(DOCS).with_suffix(".html")) for s in sources} - {"index.html"}
    assert wanted <= there


def test_links_lead_somewhere(built: dict[Path, Page]) -> None:
    lost = []
    for file, page in built.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if is_outside(link) or parts.scheme in ("mailto", "data"):
                continue
            path = unquote(parts.path)
            target = (file.parent / path).resolve() if path else file
            if not target.exists():
                lost.append(f"{file.name}: {link}")
            elif parts.fragment and target in built:
                known = built[target].ids | {""}
                if unquote(parts.fragment) not in known:
                    lost.append(f"{file.name}: {link}")
    assert lost == []


def test_nothing_is_loaded_from_outside(site: Path, built: dict[Path, Page]) -> None:
    foreign = [f"{f.name}: {a}" for f, page in built.items() for a in page.loads if is_outside(a)]
    for file in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.js")]:
        text = file.read_text(encoding="utf-8")
        foreign += [f"{file.name}: {found[0]}" for found in FOREIGN.finditer(text)]
        if file.suffix == ".css":
            fetched = re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", text)
            foreign += [f"{file.name}: {address}" for address in fetched]
    assert foreign == []


def test_every_figure_of_a_run_has_its_picture(site: Path, built: dict[Path, Page]) -> None:
    text = (site / "frames.html").read_text(encoding="utf-8")
    figures = [name for name in vars(Plots) if not name.startswith("_")]
    told = built[site / "frames.html"].figures
    assert all(told), "a picture is not said in words"
    assert len(told) == len(set(told)) == len(figures)
    assert [name for name in figures if f'id="tracer.plot.{name}"' not in text] == []
