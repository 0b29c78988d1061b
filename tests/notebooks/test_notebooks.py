# SPDX-License-Identifier: GPL-2.0-or-later
"""The notebooks: stripped, without logic, and executed top to bottom in a fresh kernel."""

from __future__ import annotations

import ast
import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

import tracer

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
RECORDINGS = NOTEBOOKS / "recordings"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
STRIP = (
    "strip it: .venv/bin/pip install nbstripout && .venv/bin/nbstripout notebooks/{name}, "
    "and select the kernel python3"
)
MOST_BYTES = 2_500_000
CELL_SECONDS = 600
#: What a cell may consist of: calls, their arguments, and names for what they give.
STATEMENTS = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
LOGIC = (
    ast.Lambda, ast.IfExp, ast.NamedExpr, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp, ast.Await, ast.Yield, ast.YieldFrom,
)  # fmt: skip
MODULES = ("tracer", "IPython.display")
MOST_LINES = 3


def read(name: str) -> Any:
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def code(name: str) -> list[str]:
    return [cell.source for cell in read(name).cells if cell.cell_type == "code"]


@functools.cache
def executed(name: str) -> Any:
    """The notebook with its outputs. A cell that raises ends it with the cell's traceback."""
    notebook = read(name)
    # Without directories to look in, python3 is the interpreter that runs this test.
    specs = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    with tempfile.TemporaryDirectory() as home:
        client = NotebookClient(
            notebook, km=manager, timeout=CELL_SECONDS,
            resources={"metadata": {"path": str(NOTEBOOKS)}},
        )  # fmt: skip
        # Nobody's start-up files.
        client.execute(env={**os.environ, "IPYTHONDIR": home})
    return notebook


def outputs(name: str, kind: str, source: str = "") -> list[str]:
    """What the cells whose code begins with ``source`` showed as this MIME type."""
    return [
        str(output.data[kind])
        for cell in executed(name).cells
        if cell.cell_type == "code" and cell.source.startswith(source)
        for output in cell.outputs
        if kind in output.get("data", {})
    ]


def text(name: str, source: str) -> str:
    """What the one cell that begins so showed, as plain text."""
    (found,) = outputs(name, "text/plain", source)
    return found


def drawings(name: str) -> int:
    return len(outputs(name, "image/svg+xml"))


def first_trace(name: str) -> None:
    """A trusted run, its ledger, every channel's waterfall, and nothing unexplained."""
    assert text(name, "run.trusted") == "True"
    assert "netlink sends" in text(name, "run.ledger")
    counted = text(name, 'run.exchanges["unexplained_ns"]').splitlines()
    assert [line.split() for line in counted][1:-1] == [["0", "997"]]
    (summary,) = outputs(name, "text/html", "import tracer")
    (waterfall,) = outputs(name, "image/svg+xml", "run.plot.waterfall")
    for channel in ("netlink", "setsockopt", "getsockopt", "notify"):
        assert channel in summary
        assert channel in waterfall
    assert drawings(name) == 2


def where_did_the_time_go(name: str) -> None:
    """The slow exchange is followed to its handler, which the module made slow."""
    rows = [line.split() for line in text(name, "follow(").splitlines()]
    more = {row[0]: int(row[-1]) for row in rows if row[-1].lstrip("-").isdigit()}
    total = more.pop("total")
    assert max(more, key=lambda stage: more[stage]) == "handler"
    assert more["handler"] > 0.5 * total
    assert "msgchan_handler" in text(name, "observations(")
    assert text(name, "columns = ").splitlines()[1].split()[-3] == "handler"
    assert drawings(name) == 4


def netlink_or_sockopt(name: str) -> None:
    """A lead, or its absence, for each number of threads, whatever the data says."""
    for source in ("crossings(total)", "crossings(kernel)", "crossings(tail)"):
        rows = [line.split() for line in text(name, source).splitlines()[1:]]
        assert {row[1] for row in rows} == {"1", "2", "4"}
        assert {word for row in rows for word in row[2:4]} <= {"netlink", "getsockopt", "neither"}
    overview = text(name, 'runs = load_runs("recordings/channels/*")')
    assert "False" not in overview
    assert drawings(name) == 5


def compare_two_runs(name: str) -> None:
    """Slower, and by the stage that the module made slow; the other channel is left alone."""
    assert text(name, "result = compare(base, new)") == "'slower'"
    moved = [line.split() for line in text(name, "result.moved").splitlines()[1:]]
    slower = [(row[1], row[4]) for row in moved if row[5] == "slower"]
    assert slower == [("netlink", "reply")]
    assert drawings(name) == 2


PROMISES: dict[str, Callable[[str], None]] = {
    "01_first_trace.ipynb": first_trace,
    "02_where_did_the_time_go.ipynb": where_did_the_time_go,
    "03_netlink_or_sockopt.ipynb": netlink_or_sockopt,
    "04_compare_two_runs.ipynb": compare_two_runs,
}


def test_these_are_the_notebooks() -> None:
    assert sorted(PROMISES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_stripped(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    for number, cell in enumerate(notebook.cells):
        where = f"{name}, cell {number}, holds"
        assert not cell.get("outputs"), f"{where} outputs; {STRIP.format(name=name)}"
        assert cell.get("execution_count") is None, f"{where} a count; {STRIP.format(name=name)}"
    assert notebook.metadata.kernelspec.name == "python3", STRIP.format(name=name)


@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_logic(name: str) -> None:
    for number, source in enumerate(code(name)):
        where = f"{name}, code cell {number}"
        tree = ast.parse(source, where)
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt):
                assert isinstance(node, STATEMENTS), f"{where}: {ast.unparse(node)}"
            assert not isinstance(node, LOGIC), f"{where}: {ast.unparse(node)}"
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in imports:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
            for module in names:
                ours = any(module == m or str(module).startswith(f"{m}.") for m in MODULES)
                assert ours, f"{where} imports {module}, not only {' and '.join(MODULES)}"
        calls = len(tree.body) - len(imports)
        assert calls <= MOST_LINES, f"{where} has {calls} lines; put them into a function of tracer"


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_shows_what_it_promises(name: str) -> None:
    for cell in executed(name).cells:
        for output in cell.get("outputs", []):
            assert output.output_type == "execute_result", f"{cell.source}\n{output}"
    PROMISES[name](name)


def test_every_recording_is_trusted() -> None:
    runs = [tracer.load(meta.parent) for meta in RECORDINGS.rglob("meta.json")]
    assert runs
    assert [str(run.path) for run in runs if not run.trusted] == []


def test_the_recordings_stay_small() -> None:
    sizes = [path.stat().st_size for path in RECORDINGS.rglob("*") if path.is_file()]
    assert sum(sizes) < MOST_BYTES
