# SPDX-License-Identifier: GPL-2.0-or-later
"""What a session leaves: the JSON report and the terminal's table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from latency_project import Project


def two_tests(project: Project) -> None:
    project.baseline(project.recording("base"))
    project.test(project.recording("alike", 2))
    project.test(project.recording("new", 3, add={"handler": 50_000}), name="test_slow")


def report(project: Project) -> list[dict[str, Any]]:
    value = json.loads((project.path / "deep" / "out.json").read_text())
    assert (value["schema"], value["tracer"]) == (1, "0.1.0")
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
