# SPDX-License-Identifier: GPL-2.0-or-later
"""What a failed check looks like in pytest's own output."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from latency_project import Project

from tracer.pytest_plugin.check import _properties
from tracer.pytest_plugin.outcome import (
    LatencyFailure,
    LatencyInconclusive,
    LatencyRegression,
    LatencyUnfit,
)

#: One run more than base has, on a wall clock: too few to settle anything.
WALL = {"meta": {}}


def slowed(project: Project) -> None:
    project.baseline(project.recording("base"))
    project.test(project.recording("new", 2, add={"handler": 50_000}))


def unsettled(project: Project) -> None:
    project.baseline(project.recording("base", **WALL))
    project.test(project.recording("new", 2, **WALL))


def junit(project: Project) -> ElementTree.Element:
    (case,) = ElementTree.parse(project.path / "junit.xml").iter("testcase")
    return case


def properties(project: Project) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in junit(project).iter("property")}


def test_the_failures_are_assertions() -> None:
    for kind in (LatencyRegression, LatencyInconclusive, LatencyUnfit):
        assert issubclass(kind, LatencyFailure)
        assert issubclass(kind, AssertionError)


def test_the_same_passes(project: Project) -> None:
    project.baseline(project.recording("base"))
    project.test(project.recording("new", 2))
    result = project.run("--junitxml=junit.xml")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    assert properties(project)["latency.echo.verdict"] == "same"
    assert junit(project).find("failure") is None


def test_slower_fails_with_its_text_and_no_traceback(project: Project) -> None:
    slowed(project)
    result = project.run("--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert "slower: netlink, msgchan echo: handler +50," in text
    assert "Traceback" not in text
    assert "latency.check(" not in text
    assert "check.py" not in text
    (summary,) = [line for line in text.splitlines() if line.startswith("FAILED")]
    assert "test_echo.py::test_echo - slower: netlink, msgchan echo: handler" in summary


def test_slower_in_junit(project: Project) -> None:
    slowed(project)
    project.run("--junitxml=junit.xml")
    (failure,) = junit(project).iter("failure")
    assert failure.attrib["message"].startswith("slower: netlink, msgchan echo: handler")
    assert "slowest in handler" in str(failure.text)
    found = properties(project)
    assert found["latency.echo.verdict"] == "slower"
    assert found["latency.echo.type"] == "netlink, msgchan echo"
    assert found["latency.echo.stage"] == "handler"
    assert int(found["latency.echo.change_ns"]) == pytest.approx(50_000, rel=0.01)
    assert float(found["latency.echo.change_percent"]) == pytest.approx(1000, rel=0.01)


def test_faster_passes_and_asks_for_an_update(project: Project) -> None:
    project.baseline(project.recording("base", add={"copy": 9000}))
    project.test(project.recording("new", 2))
    result = project.run("--junitxml=junit.xml")
    assert result.ret == pytest.ExitCode.OK
    assert properties(project)["latency.echo.verdict"] == "faster"
    assert properties(project)["latency.echo.note"] == "faster: update the baseline?"
    assert "test_echo: faster: update the baseline?" in result.stdout.str()


def test_junit_has_the_type_that_changed_most() -> None:
    rows = [
        {"type": kind, "stage": stage, "change_ns": ns, "change": share}
        for kind, stage, ns, share in (
            ("netlink, a", "copy", 20.0, 0.1),
            ("netlink, b", "handler", -30.4, None),
            ("netlink, c", "reply", 0.0, 0.0),
        )
    ]
    entry = {"baseline": "x", "verdict": "faster", "rows": rows}
    assert dict(_properties(entry)) == {
        "latency.x.verdict": "faster",
        "latency.x.type": "netlink, b",
        "latency.x.stage": "handler",
        "latency.x.change_ns": -30,
        "latency.x.note": "faster: update the baseline?",
    }


def test_inconclusive_is_an_outcome_of_its_own(project: Project) -> None:
    unsettled(project)
    result = project.run("-v")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"inconclusive": 1}
    result.stdout.fnmatch_lines(
        [
            "*::test_echo INCONCLUSIVE*",
            "*= INCONCLUSIVE =*",
            "*_ test_echo _*",
            "inconclusive: netlink, msgchan echo: total *; the sides were not recorded in turn *",
            "not settled: 1 run a side cannot tell a change from chance, 5 a side can",
        ]
    )


def test_inconclusive_has_its_letter(project: Project) -> None:
    unsettled(project)
    result = project.run()
    result.stdout.fnmatch_lines(["test_echo.py I *", "*= 1 inconclusive in *"])


def test_inconclusive_in_junit_is_a_failure_that_says_so(project: Project) -> None:
    unsettled(project)
    project.run("--junitxml=junit.xml")
    (failure,) = junit(project).iter("failure")
    assert failure.attrib["message"].startswith("inconclusive: ")
    assert properties(project)["latency.echo.verdict"] == "inconclusive"


def test_other_failures_are_left_alone(project: Project) -> None:
    project.pytester.makepyfile("def test_it():\n    assert 1 == 2\n")
    result = project.run()
    result.stdout.fnmatch_lines(["*assert 1 == 2*", "FAILED *test_it - assert 1 == 2*"])


# --------------------------------------------------------------------------
# What a test makes of a failed check

CATCHES = """
import pytest, tracer
from tracer.pytest_plugin import LatencyFailure, LatencyRegression

def test_echo(latency):
    run = tracer.load({path!r})
    {text}
"""


def catching(project: Project, text: str, marks: str = "") -> None:
    """A test whose check finds that the handler is slower, and what it makes of that."""
    new = project.path / "recordings" / "new"
    if not new.exists():
        project.baseline(project.recording("base"))
        project.recording("new", 2, add={"handler": 50_000})
    body = CATCHES.format(path=str(new), text="\n    ".join(text.splitlines()))
    project.pytester.makepyfile(test_echo=body.replace("def test", f"{marks}\ndef test"))


@pytest.mark.parametrize(
    "text",
    [
        'try:\n    latency.check(run, "echo")\nexcept Exception:\n    pass',
        'try:\n    latency.check(run, "echo")\nexcept BaseException:\n    pass',
        'with pytest.raises(LatencyRegression):\n    latency.check(run, "echo")',
        'with pytest.raises(AssertionError):\n    latency.check(run, "echo")',
        'for _ in range(3):\n    try:\n        latency.check(run, "echo")\n'
        "    except LatencyFailure:\n        continue",
        'try:\n    latency.check(run, "echo")\nexcept AssertionError:\n    pytest.skip("flaky")',
    ],
)
def test_a_failed_check_fails_the_test_that_catches_it(project: Project, text: str) -> None:
    catching(project, text)
    result = project.run("--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = result.stdout.str()
    assert "slower: netlink, msgchan echo: handler +50," in said
    assert "slowest in handler" in said
    assert "The test caught this and went on." in said
    assert "Traceback" not in said
    (failure,) = junit(project).iter("failure")
    assert failure.attrib["message"].startswith("slower: netlink, msgchan echo: handler")


def test_a_check_that_cannot_compare_is_not_caught_either(project: Project) -> None:
    catching(project, 'try:\n    latency.check(run, "nosuch")\nexcept Exception:\n    pass')
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "nothing to compare with; make it with --latency-update" in result.stdout.str()


def test_an_inconclusive_check_that_is_caught_is_inconclusive(project: Project) -> None:
    unsettled(project)
    file = project.path / "test_echo.py"
    check = 'latency.check(runs, baseline="echo")'
    caught = f"try:\n        {check}\n    except Exception:\n        pass"
    file.write_text(file.read_text().replace(check, caught))
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"inconclusive": 1}


@pytest.mark.parametrize(
    "fixture",
    [
        "check()\n    yield",
        "yield\n    check()",
    ],
)
def test_a_fixture_that_catches_its_check_is_an_error(project: Project, fixture: str) -> None:
    catching(project, "pass")
    with (project.path / "test_echo.py").open("a") as file:
        file.write(
            f"""
@pytest.fixture(autouse=True)
def watched(latency):
    def check():
        try:
            latency.check(tracer.load({str(project.path / "recordings" / "new")!r}), "echo")
        except Exception:
            pass
    {fixture}
"""
        )
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["errors"] == 1
    assert "slower: netlink, msgchan echo: handler +50," in result.stdout.str()


@pytest.mark.parametrize(
    "text",
    [
        'latency.check(run, "echo")',
        'with pytest.raises(LatencyRegression):\n    latency.check(run, "echo")',
    ],
)
def test_an_expected_failure_is_marked(project: Project, text: str) -> None:
    catching(project, text, "@pytest.mark.xfail(raises=LatencyRegression, strict=True)")
    result = project.run()
    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    catching(project, text, "@pytest.mark.xfail(raises=ZeroDivisionError)")
    project.run().assert_outcomes(failed=1)


def test_what_a_test_fails_with_after_a_caught_check_is_told(project: Project) -> None:
    catching(project, 'try:\n    latency.check(run, "echo")\nexcept Exception:\n    1 / 0')
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED *ZeroDivisionError*", "* 1 failed in *"])
