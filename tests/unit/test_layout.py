# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes of files and functions, and which test belongs to which source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 50
#: A function may be longer when a line of its docstring begins so, and goes on to say why.
REASON = "Long because "
FOLDERS = ("tracer", "bpf", "kmod", "scripts", "bench")
WRITTEN = {".c", ".css", ".h", ".j2", ".py", ".sh", ""}
#: Sources that no file of tests/unit mirrors, and the test that covers each: what needs a kernel
#: or a virtual machine, and what is only seen through a neighbour.
COVERED = {
    "attach/libbcc.py": "kernel/test_record_compiled.py",
    "attach/loader.py": "kernel/test_record_compiled.py",
    "attach/probes.py": "kernel/test_record_session.py",
    "attach/sites.py": "unit/attach/test_plan.py",
    "attach/threads.py": "kernel/test_record_session.py",
    "cli/kmod.py": "unit/module/test_kmod.py",
    "cli/lab.py": "lab/test_lab.py",
    "cli/report.py": "unit/report/test_text.py",
    "clients/epoll.py": "kernel/test_clients.py",
    "clients/sockopt.py": "kernel/test_clients.py",
    "clients/workers.py": "kernel/test_drive.py",
    "compare/__init__.py": "unit/compare/test_comparison.py",
    "compare/verdicts.py": "unit/compare/test_wall_clock.py",
    "correlate/onepass/answers.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/calls.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/ending.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/joining.py": "unit/correlate/test_request.py",
    "correlate/onepass/log.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/options.py": "unit/correlate/test_sockopt.py",
    "correlate/onepass/receiving.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/rows.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/step.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/tables.py": "unit/correlate/test_exchanges.py",
    "correlate/onepass/ways.py": "unit/correlate/test_netlink.py",
    "errors.py": "unit/test_cli.py",
    "plot/types.py": "unit/plot/test_latency.py",
    "pytest_plugin/__init__.py": "unit/pytest_plugin/test_check.py",
    "pytest_plugin/guest.py": "unit/pytest_plugin/test_lab.py",
    "recorder/record.py": "kernel/test_record_session.py",
    "recorder/session.py": "kernel/test_record_session.py",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def written_files() -> Iterator[Path]:
    """What people wrote, not what a build of the module left beside it."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            left = path.name.startswith(".") or path.name.endswith(".mod.c")
            if path.is_file() and path.suffix in WRITTEN and not left:
                yield path


def too_long(source: str) -> list[str]:
    """``name: lines`` of each function above the bound whose docstring gives no reason."""
    return [
        f"{node.name}: {lines}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, Function)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
        and not gives_a_reason(node)
    ]


def gives_a_reason(function: Function) -> bool:
    """Whether a line of its docstring begins with :data:`REASON` and something follows."""
    told = (ast.get_docstring(function) or "").splitlines()
    return any(line.startswith(REASON) and line.removeprefix(REASON).strip() for line in told)


def does_something(path: Path) -> bool:
    """Whether the file defines a function or a class; one of constants or imports has no test."""
    kinds = (*Function.__args__, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.parse(path.read_text("utf-8")).body)


def sources() -> list[str]:
    """The files of ``tracer/`` that a test belongs to, relative to it."""
    package = ROOT / "tracer"
    every = sorted(package.rglob("*.py"))
    return [str(path.relative_to(package)) for path in every if does_something(path)]


def mirror(source: str) -> str:
    """``a/b.py`` is mirrored by ``unit/a/test_b.py``, the package ``a/__init__.py`` by
    ``unit/test_a.py``."""
    path = Path("tracer", source)
    name = path.parent if path.stem == "__init__" else path.with_suffix("")
    name = name.relative_to("tracer") if name != Path("tracer") else name
    return str(Path("unit", name.parent, f"test_{name.name}.py"))


def is_there(test: str) -> bool:
    return (ROOT / "tests" / test).is_file()


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in written_files()
        if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES_OF_A_FILE
    }
    assert long == {}


def test_no_function_is_too_long_without_a_reason() -> None:
    long = {
        str(path.relative_to(ROOT)): found
        for path in written_files()
        if path.suffix == ".py" and (found := too_long(path.read_text("utf-8")))
    }
    assert long == {}


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("What it does.", ["f: 51"]),
        ("What it does.\n\n    Long because each option is a line.", []),
        ("What it does.\n\n    Long because ", ["f: 51"]),
        ("It is long because it is.", ["f: 51"]),
    ],
)
def test_a_reason_is_a_line_of_the_docstring(docstring: str, found: list[str]) -> None:
    head = f'def f():\n    """{docstring}"""\n'
    body = "    pass\n" * (51 - head.count("\n"))
    assert too_long(head + body) == found
    assert too_long(head + body.removeprefix("    pass\n")) == []


def test_every_source_has_its_test() -> None:
    without = [s for s in sources() if s not in COVERED and not is_there(mirror(s))]
    assert without == []


def test_every_file_of_the_bench_has_its_test() -> None:
    """But for measure.py, which tests/lab/test_bench.py runs in a guest."""
    files = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"__init__", "measure"}
    assert {name for name in files if not is_there(f"unit/bench/test_{name}.py")} == set()
    assert is_there("lab/test_bench.py")


def test_only_what_has_no_mirror_is_listed() -> None:
    assert [source for source in COVERED if is_there(mirror(source))] == []
    assert set(COVERED) <= set(sources())
    assert [test for test in COVERED.values() if not is_there(test)] == []


@pytest.mark.parametrize(
    ("source", "test"),
    [
        ("run.py", "unit/test_run.py"),
        ("frames/slack.py", "unit/frames/test_slack.py"),
        ("frames/ledger/log.py", "unit/frames/ledger/test_log.py"),
        ("frames/ledger/__init__.py", "unit/frames/test_ledger.py"),
        ("cli/__init__.py", "unit/test_cli.py"),
        ("__init__.py", "unit/test_tracer.py"),
    ],
)
def test_where_a_mirror_stands(source: str, test: str) -> None:
    assert mirror(source) == test


def test_one_file_imports_bcc() -> None:
    importing = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tracer").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Import) and "bcc" in [name.name for name in node.names])
        or (isinstance(node, ast.ImportFrom) and node.module == "bcc")
    ]
    assert importing == ["tracer/attach/libbcc.py"]
