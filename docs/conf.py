# SPDX-License-Identifier: GPL-2.0-or-later
"""How the site is built by ``make docs``. Nothing is fetched; no page loads anything from outside.

The pictures of the frames reference are drawn here, from recordings in the tree, and the command
reference is what ``--help`` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import click
from sphinx.application import Sphinx

import tracer
from tracer.cli import main

DOCS = Path(__file__).parent
ROOT = DOCS.parent
#: By their way from the top of the tree, as the figures name them.
RECORDING = "tests/data/all-channels"
SIDES = "notebooks/recordings/base/1", "notebooks/recordings/new/1"
HELP_WIDTH = 88
#: What is made for the site; git ignores both.
GENERATED, NOTEBOOKS = DOCS / "_generated", DOCS / "notebooks"

project = "tracer"
author = "The tracer authors"
copyright = "the tracer authors"
version = release = tracer.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["_generated", "examples", "notebooks/recordings"]
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "code"
smartquotes = False  # an option begins with two hyphens
suppress_warnings = ["ref.python"]  # two classes are named Options

# BCC belongs to the machine, not to the environment; a page that names what uses it needs none.
autodoc_mock_imports = ["bcc"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
add_module_names = False

nb_execution_mode = "auto"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # the default is a CDN

html_theme = "furo"
html_title = "tracer"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}


def draw(_app: Sphinx) -> None:
    """Write every figure of the frames reference as a fragment that takes the page's colours."""
    from tracer.plot.svg import inline

    with chdir(ROOT):
        run = tracer.load(RECORDING)
        figures = {
            "waterfall": run.plot.waterfall(),
            "distribution": run.plot.distribution(),
            "heatmap": run.plot.heatmap(),
            "sizes": run.plot.sizes(),
            "exchange": run.plot.exchange(int(run.exchanges["total_ns"].idxmax())),
            "compare": tracer.load(SIDES[0]).plot.compare(tracer.load(SIDES[1])),
        }
    GENERATED.mkdir(exist_ok=True)
    for name, figure in figures.items():
        html = f'<figure class="drawing">{inline(figure, name)}</figure>\n'
        (GENERATED / f"{name}.html").write_text(html, encoding="utf-8")


def describe(_app: Sphinx) -> None:
    """Write a section for every command, with what its ``--help`` prints."""
    GENERATED.mkdir(exist_ok=True)
    sections = helps(main, click.Context(main, info_name="tracer", terminal_width=HELP_WIDTH))
    (GENERATED / "commands.md").write_text("\n".join(sections), encoding="utf-8")


def helps(command: click.Command, context: click.Context) -> Iterator[str]:
    """The section of a command, then those of the commands below it."""
    text = command.get_help(context)
    yield f"## {context.command_path}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from helps(below, click.Context(below, info_name=name, parent=context))


def bring(_app: Sphinx) -> None:
    """Have the notebooks, and the recordings that they open, below the sources of the site."""
    NOTEBOOKS.mkdir(exist_ok=True)
    recordings = NOTEBOOKS / "recordings"
    if not recordings.is_symlink():
        recordings.symlink_to(Path("../../notebooks/recordings"))
    wanted = {file.name: file.read_bytes() for file in ROOT.glob("notebooks/*.ipynb")}
    for left in NOTEBOOKS.glob("*.ipynb"):
        if left.name not in wanted:
            left.unlink()
    for name, content in wanted.items():
        file = NOTEBOOKS / name
        if not file.exists() or file.read_bytes() != content:  # else it would be executed again
            file.write_bytes(content)


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", bring)
    app.connect("builder-inited", draw)
    app.connect("builder-inited", describe)
