# SPDX-License-Identifier: GPL-2.0-or-later
"""What a session leaves: the JSON report and the terminal's table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from latency_project import Project

import tracer
from tracer.pytest_plugin.results import Results


def two_tests(project: Project) -> None:
    project.baseline(project.recording("base"))
    project.test(project.recording("alike", 2))
    project.test(project.recording("new", 3, add={"handler": 50_000}), name="test_slow")


def report(project: Project) -> list[dict[str, Any]]:
    value = json.loads((project.path / "deep" / "out.json").read_text())
    assert (value["schema"], value["tracer"]) == (1, tracer.__version__)
    checks: list[dict[str, Any]] = value["checks"]
    return checks


def test_the_report_is_written_though_tests_fail(project: Project) -> None:
    two_tests(project)
    result = project.run("--latency-report=deep/out.json")
    result.assert_outcomes(passed=1, failed=1)
    alike, slow = report(project)
    assert alike["nodeid"] == "test_echo.py::test_echo"
    assert (alike["verdict"], slow["verdict"]) == ("same", "slower")
    assert slow["baseline"] == "echo"
    assert slow["path"] == str(project.path / "baselines" / "echo.json")
    assert slow["recordings"] == [str(project.path / "recordings" / "new")]
    assert slow["message"].startswith("slower: netlink, msgchan echo: handler")
    lines = slow["comparison"]["lines"]
    (handler,) = [x for x in lines if (x["stage"], x["quantile"]) == ("handler", "p50")]
    assert handler["change_ns"] == pytest.approx(50_000, rel=0.01)
    assert slow["comparison"]["moved"][0]["stage"] == "handler"


def test_what_compared_nothing_is_in_the_report(project: Project) -> None:
    project.test(project.recording("new"))
    project.run("--latency-report=deep/out.json")
    (check,) = report(project)
    assert check["verdict"] == "unfit"
    assert "no baseline" in check["message"]
    assert "rows" not in check


def test_a_session_without_checks_writes_an_empty_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it():\n    pass\n")
    result = pytester.runpytest("--latency-report=out.json")
    assert json.loads((pytester.path / "out.json").read_text())["checks"] == []
    result.stdout.no_fnmatch_line("*latency*")


def test_the_table_has_a_line_for_every_check(project: Project) -> None:
    two_tests(project)
    lines = project.run().stdout.str().splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("test  "))
    rows = [line.split() for line in lines[head : head + 3]]
    assert rows[0] == ["test", "type", "stage", "base", "new", "change", "%", "verdict"]
    assert rows[1][:6] == ["test_echo", "netlink,", "msgchan", "echo", "total", "p50"]
    assert rows[1][-1] == "same"
    assert rows[2][:6] == ["test_slow", "netlink,", "msgchan", "echo", "handler", "p50"]
    assert rows[2][-1] == "slower"


def test_a_baseline_that_cannot_be_written_is_an_error_of_its_test(project: Project) -> None:
    new = project.recording("new")
    project.pytester.makepyfile(
        f"""
        import tracer

        def test_echo(latency):
            run = tracer.load({str(new)!r})
            latency.check(run, baseline="echo")
            latency.check(run, baseline="other")
        """
    )
    (project.path / "baselines" / "echo.json").mkdir(parents=True)
    result = project.run("--latency-update", "--latency-report=deep/out.json", "--junitxml=j.xml")
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    file = project.path / "baselines" / "echo.json"
    why = f"cannot write {file}: Is a directory"
    assert why in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
    (error,) = ElementTree.parse(project.path / "j.xml").iter("error")
    assert why in str(error.text)
    echo, other = report(project)
    assert (echo["verdict"], other["verdict"]) == ("not written", "updated")
    assert echo["message"].startswith(why)
    assert sorted(p.name for p in file.parent.iterdir()) == ["echo.json", "other.json"]


def test_a_report_that_cannot_be_written_fails_the_session(project: Project) -> None:
    project.baseline(project.recording("base"))
    project.test(project.recording("new", 2))
    (project.path / "deep").touch()
    result = project.run("--latency-report=deep/out.json")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "ERROR: cannot write */deep/out.json: File exists (*/deep); give another --latency-*",
            "test_echo * same",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    none = project.run("--latency-report=deep/out.json", "--deselect=test_echo.py")
    assert none.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_workers_that_write_one_baseline_are_told_apart(pytester: pytest.Pytester) -> None:
    """As under pytest-xdist, where each worker knows of its own tests only."""
    results = Results(pytester.parseconfig())
    reports = [update(name, pytester.path / "b" / "echo.json") for name in ("one", "two", "one")]
    for report in reports:
        results.pytest_runtest_logreport(report)
    assert [report.outcome for report in reports] == ["passed", "failed", "passed"]
    assert reports[1].longrepr == (
        f"cannot write {pytester.path / 'b' / 'echo.json'}: it belongs to t.py::one already; "
        "give each test its own name"
    )
    assert (pytester.path / "b" / "echo.json").read_text() == "one"


def update(test: str, path: Path) -> pytest.TestReport:
    """The last report of a test that wants its own name written to ``path``."""
    return pytest.TestReport(
        f"t.py::{test}", ("t.py", 0, test), {}, "passed", None, "teardown",
        latency={"updates": [{"path": str(path), "text": test}]},
    )  # fmt: skip
