# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixture where nobody may trace, the marker, and the handle of a trace."""

from __future__ import annotations

import pytest
from latency_project import Project

from tracer.errors import TracerError
from tracer.pytest_plugin import options
from tracer.pytest_plugin.fixture import Attached

USES = "def test_it(latency):\n    pass\n"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "may_trace", lambda: False)


@pytest.mark.usefixtures("nobody")
def test_without_root_it_skips_and_says_what_to_do(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USES)
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*needs root: run pytest as root, or with --latency-lab*"])


@pytest.mark.usefixtures("nobody")
def test_forced_it_fails_instead(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USES)
    result = pytester.runpytest("--latency")
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*tracing needs root*", "ERROR *test_it - tracing needs root*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_root_that_may_not_attach_is_an_error_of_one_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Attached, _options: object) -> None:
        raise TracerError("cannot record: tracefs", "not mounted", "mount it")

    monkeypatch.setattr(options, "may_trace", lambda: True)
    monkeypatch.setattr(Attached, "probes", refuse)
    pytester.makepyfile(USES)
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["cannot record: tracefs: not mounted; mount it; or run in *: pytest --latency-lab"]
    )


def test_tests_that_use_it_are_marked(project: Project) -> None:
    project.pytester.makepyfile(f"{USES}\n\ndef test_other():\n    pass\n")
    project.run("-m", "latency", "--strict-markers").assert_outcomes(passed=1, deselected=1)
    result = project.run("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.latency: *"])
