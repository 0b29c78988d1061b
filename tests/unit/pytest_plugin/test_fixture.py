# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixture where nobody may trace, the marker, and the handle of a trace."""

from __future__ import annotations

import pytest
from latency_project import Project

from tracer.errors import TracerError
from tracer.pytest_plugin import options
from tracer.pytest_plugin.fixture import Attached
from tracer.recorder import record

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


# --------------------------------------------------------------------------
# Traced and never checked

#: Instead of probes and a ring: a trace is a recording that is there already.
RECORDED = """
import contextlib, pathlib, pytest
import tracer.recorder.record
from tracer.recorder.traced import Traced

@pytest.fixture(scope="session")
def latency_probes():
    class Attached:
        def probes(self, options):
            return None
    return Attached()

@contextlib.contextmanager
def capture(path, probes=None):
    handle = Traced(pathlib.Path({path!r}))
    yield handle
    handle.finished()

tracer.recorder.record.capture = capture
"""


def traced(project: Project, text: str, monkeypatch: pytest.MonkeyPatch) -> pytest.RunResult:
    """What a test of this text comes to, whose traces are a recording like the baseline's."""
    monkeypatch.setattr(record, "capture", record.capture)
    path = project.recording("base")
    project.baseline(path)
    project.pytester.makeconftest(RECORDED.format(path=str(path)))
    project.pytester.makepyfile(text)
    return project.run()


TRACES = "with latency.trace({how}) as run:\n            pass\n"


@pytest.mark.parametrize(
    "text",
    [
        f"def test_it(latency):\n        {TRACES.format(how='')}",
        "def test_it(latency):\n        runs = latency.repeat(lambda: None, 3)\n"
        "        assert len(runs) == 3",
        f"def test_it(latency):\n        {TRACES.format(how='')}"
        f"        {TRACES.format(how='unchecked=True')}",
    ],
)
def test_a_test_that_traces_and_never_checks_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    result = traced(project, text, monkeypatch)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*_ ERROR at teardown of test_it _*", "traced, never checked: without latency.check *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (
            f"def test_it(latency):\n        {TRACES.format(how='')}"
            '        latency.check(run, "echo")',
            {"passed": 1},
        ),
        (
            f"def test_it(latency):\n        {TRACES.format(how='unchecked=True')}"
            "        assert len(run.exchanges)",
            {"passed": 1},
        ),
        ("def test_it(latency):\n        latency.repeat(len, 0)", {"passed": 1}),
        (f"def test_it(latency):\n        {TRACES.format(how='')}        assert 0", {"failed": 1}),
        (
            f"def test_it(latency):\n        {TRACES.format(how='')}"
            "        import pytest; pytest.skip('no reply')",
            {"skipped": 1},
        ),
    ],
)
def test_what_checks_or_says_so_or_fails_anyway_is_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str, outcome: dict[str, int]
) -> None:
    traced(project, text, monkeypatch).assert_outcomes(**outcome)


def test_a_fixture_may_check_what_it_traced_around_the_test(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    import pytest

    @pytest.fixture(autouse=True)
    def watched(latency):
        with latency.trace() as run:
            yield
        latency.check(run, "echo")

    def test_it():
        pass
    """
    traced(project, text, monkeypatch).assert_outcomes(passed=1)


def test_a_trace_that_cannot_be_read_any_more_is_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""
    import shutil

    def test_it(latency):
        {TRACES.format(how="")}
        shutil.rmtree(run.path)
        latency.check(run, "echo")
    """
    result = traced(project, text, monkeypatch)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["cannot open the recording *: there is no such directory; *"])
    result.stdout.no_fnmatch_line("*Traceback*")
