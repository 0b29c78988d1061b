# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of another pytest, replayed here; here it runs on this machine, not in a virtual one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from latency_project import Project
from marked_processes import DEADLINE, seconds_until_gone

from tracer.pytest_plugin import lab
from tracer.pytest_plugin.lab import guest_command, lab_command

Run = Callable[..., pytest.RunResult]
#: Says what the lab says when it cannot start, or when the guest died.
STAND_IN = "import sys; sys.stderr.write({text!r}); sys.exit({status})"


@pytest.fixture
def run(project: Project, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest --latency-lab with ``wrap`` around the guest's command instead of the lab."""

    def start(
        *arguments: str, wrap: Callable[[list[str]], list[str]] = lambda argv: argv
    ) -> pytest.RunResult:
        monkeypatch.setattr(lab, "project_root", lambda: project.path)
        monkeypatch.setattr(lab, "lab_command", lambda _config, argv: wrap(list(argv)))
        return project.run("--latency-lab", *arguments)

    return start


def then(text: str, status: int) -> Callable[[list[str]], list[str]]:
    """The command, and after it what the lab would say and exit with."""
    return lambda argv: [
        "sh", "-c", '"$@"; echo "$0" >&2; exit ' + str(status), text, *argv
    ]  # fmt: skip


def instead(text: str, status: int) -> Callable[[list[str]], list[str]]:
    """Not the command, but what the lab would say and exit with."""
    return lambda _argv: [sys.executable, "-c", STAND_IN.format(text=text, status=status)]


MARKED = """
import os, pytest

def test_here():
    assert not os.environ.get("PYTEST_CURRENT_TEST") is None

@pytest.mark.latency
def test_passes():
    print("spoken there")

@pytest.mark.latency
@pytest.mark.parametrize("n", [1, 2])
def test_fails(n, record_property):
    record_property("n", n)
    assert n == 2

@pytest.mark.latency
def test_skips():
    pytest.skip("not today")

@pytest.mark.latency
@pytest.mark.xfail(reason="known")
def test_xfails():
    assert False
"""


def test_every_outcome_comes_back(run: Run, project: Project) -> None:
    project.pytester.makepyfile(test_it=MARKED)
    result = run("--junitxml=junit.xml", "-rs")
    result.assert_outcomes(passed=3, failed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["test_it.py .F.sx*", "*assert 1 == 2*", "SKIPPED *: not today"])
    cases = {
        case.attrib["name"]: case
        for case in ElementTree.parse(project.path / "junit.xml").iter("testcase")
    }
    assert [p.attrib["value"] for p in cases["test_fails[2]"].iter("property")] == ["2"]
    assert cases["test_fails[1]"].find("failure") is not None
    assert float(cases["test_passes"].attrib["time"]) < 60


def test_only_what_is_selected_runs_and_only_marked_tests_run_there(
    run: Run, project: Project
) -> None:
    project.pytester.makepyfile(test_it=MARKED)
    run("-k", "passes or here").assert_outcomes(passed=2, deselected=4)
    (reports,) = project.path.glob("runs/latency/*/reports.jsonl")
    lines = [json.loads(line) for line in reports.read_text().splitlines()]
    assert {line["nodeid"] for line in lines[:-1]} == {"test_it.py::test_passes"}
    assert lines[-1] == {"$exit_status": 0}


def test_a_session_without_latency_tests_boots_nothing(run: Run, project: Project) -> None:
    project.pytester.makepyfile("def test_it():\n    pass\n")
    run(wrap=instead("never", 2)).assert_outcomes(passed=1)
    assert not list(project.path.glob("runs/latency/*"))


def test_checks_baselines_and_reports_travel(run: Run, project: Project) -> None:
    file = project.baseline(project.recording("base"))
    project.test(project.recording("new", 2, add={"handler": 50_000}))
    result = run("--latency-report=out.json", "--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["slower: netlink, msgchan echo: handler +50,*", "FAILED *- slower: netlink, msgchan echo*"]
    )
    (check,) = json.loads((project.path / "out.json").read_text())["checks"]
    assert check["verdict"] == "slower"
    junit = ElementTree.parse(project.path / "junit.xml")
    assert [f.attrib["message"] for f in junit.iter("failure")] == [check["message"]]
    assert "latency.echo.stage" in {p.attrib["name"] for p in junit.iter("property")}
    before = file.read_text()
    run("--latency-update").assert_outcomes(passed=1)
    assert file.read_text() != before
    assert "pytest --latency-update" in file.read_text()
    run().assert_outcomes(passed=1)


def test_inconclusive_travels(run: Run, project: Project) -> None:
    project.baseline(project.recording("base", meta={}))
    project.test(project.recording("new", 2, meta={}))
    result = run()
    assert result.parseoutcomes() == {"inconclusive": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_options_of_the_ini_file_do_not_run_twice(run: Run, project: Project) -> None:
    project.pytester.makeini("[pytest]\naddopts = --junitxml=junit.xml --latency-lab -x\n")
    project.pytester.makepyfile(test_it=MARKED)
    result = run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    assert len(list(project.path.glob("runs/latency/*"))) == 1


def test_a_directory_that_cannot_be_made_ends_the_session(run: Run, project: Project) -> None:
    project.pytester.makepyfile(test_it=MARKED)
    (project.path / "runs").touch()
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "INTERNALERROR" not in result.stdout.str()
    why = f"--latency-lab cannot write {project.path / 'runs' / 'latency'}: "
    assert why in result.stderr.str() + result.stdout.str()


def test_a_guest_that_dies_fails_what_it_did_not_report(run: Run, project: Project) -> None:
    project.pytester.makepyfile(
        """
        import os, pytest
        pytestmark = pytest.mark.latency

        def test_first():
            pass

        def test_dies():
            os._exit(9)

        def test_last():
            pass
        """
    )
    said = "lab: booting\nlab: the guest died while the command ran\nlab: guest console: /x/console"
    result = run("--junitxml=junit.xml", wrap=then(said, 1))
    result.assert_outcomes(passed=1, failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    failures = list(ElementTree.parse(project.path / "junit.xml").iter("failure"))
    assert len(failures) == 2
    for failure in failures:
        text = failure.text or ""
        assert text.startswith("latency lab: no report of this test\nlab: the guest died"), text
        assert "lab: guest console: /x/console" in text
        assert text in result.stdout.str()


def test_a_lab_that_cannot_start_is_an_error_of_one_line(run: Run, project: Project) -> None:
    project.pytester.makepyfile(test_it=MARKED)
    result = run(wrap=instead("building\nerror: no kernel to boot: none; run make setup", 2))
    result.assert_outcomes(passed=1, errors=5)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["latency lab: error: no kernel to boot: none; run make setup", "ERROR *test_passes*"]
    )


def test_a_kernel_that_complains_fails_a_session_that_passed(run: Run, project: Project) -> None:
    project.pytester.makepyfile(test_it=MARKED)
    result = run("-k", "passes", wrap=then("lab: the guest's kernel complained:", 1))
    result.assert_outcomes(passed=1, deselected=5)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "lab: the guest's kernel complained:" in result.stdout.str()


def test_a_test_that_the_guest_does_not_find_fails(run: Run, project: Project) -> None:
    project.pytester.makepyfile(test_it=MARKED)
    result = run("-k", "passes", wrap=lambda argv: [*argv[:-1], f"{argv[-1]}_not"])
    result.assert_outcomes(failed=1, deselected=5)
    assert "the pytest in the machine ended with status 4" in result.stdout.str()
    assert "not found: " in result.stdout.str()


def test_what_the_guest_is_told(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:doctest\n")
    config = pytester.parseconfig(
        "--latency-lab", "-x", "--latency-update", "-W", "error", "-o", "xfail_strict=true",
        "--latency-lab-args=--count '3 4'", "--latency-lab-timeout=300", "--tb=short",
    )  # fmt: skip
    argv = guest_command(config, ["a.py::test[x y]"], pytester.path)
    assert argv[: len(argv) - 1][argv.index("-m") :][:2] == ["-m", "pytest"]
    for words in (
        [f"--latency-guest={pytester.path}"],
        ["-o", "addopts="],
        ["-c", str(pytester.path / "tox.ini")],
        ["--maxfail=1"],
        ["--tb=short"],
        ["-p", "no:doctest"],
        ["-o", "xfail_strict=true"],
        ["-W", "error"],
        ["--latency-update"],
        ["--count", "3 4", "a.py::test[x y]"],
    ):
        assert " ".join(words) in " ".join(argv), words
    assert "--latency-lab" not in argv
    around = lab_command(config, argv)
    assert around[1:7] == ["-m", "tracer", "lab", "--deterministic", "--timeout=300", "--"]


def test_a_wall_clock_is_asked_for(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig("--latency-lab", "--latency-lab-wall")
    assert "--deterministic" not in lab_command(config, [])


def test_a_wall_clock_without_a_lab_is_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--latency-lab-wall")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --latency-lab-wall * give --latency-lab too"])


def test_the_environment_that_tests_depend_on_goes_along(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere/src")
    argv = guest_command(pytester.parseconfig("--latency-lab"), [], pytester.path)
    assert argv[:2] == ["env", "PYTHONPATH=/somewhere/src"]


def test_a_timeout_that_is_none(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--latency-lab", "--latency-lab-timeout=0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--latency-lab-timeout takes at least 1 second*"])


@pytest.mark.parametrize("dist", ["load", "each"])
def test_workers_are_refused_however_they_were_asked_for(
    pytester: pytest.Pytester, dist: str
) -> None:
    pytester.makeconftest(
        f"def pytest_addoption(parser): parser.addoption('--dist', default={dist!r})"
    )
    result = pytester.runpytest("--latency-lab", "-p", "no:xdist")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--latency-lab runs all tests in one machine: leave out -n and*"])


def test_a_session_that_stops_takes_the_machine_down(run: Run, project: Project) -> None:
    project.pytester.makepyfile(
        """
        import pathlib, pytest, select

        @pytest.mark.latency
        def test_first():
            pass

        def test_here():
            assert False

        @pytest.mark.latency
        def test_long():
            select.select([], [], [], 600)
            pathlib.Path("came-to-its-end").touch()
        """
    )
    result = run("-x")
    result.assert_outcomes(passed=1, failed=1)
    assert result.duration < 500
    assert not (project.path / "came-to-its-end").exists()


# Runs pytest on a project; the lab it starts says that it is there and never ends.
HANGING = """
import sys
import pytest
from tracer.pytest_plugin import lab
lab.lab_command = lambda *_: ["sh", "-c", f"echo up >{sys.argv[1]}; sleep 10000; :"]
pytest.main(["--latency-lab", "-p", "no:cacheprovider"])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_lab_does_not_outlive_its_pytest(project: Project, number: signal.Signals) -> None:
    project.pytester.makepyfile(test_it=MARKED)
    up = project.path / "up"
    os.mkfifo(up)
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, str(up)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=project.path,
        env={**os.environ, "TRACER_TEST": str(project.path)},
    ) as outer:
        assert up.read_text() == "up\n"
        outer.send_signal(number)
        outer.wait(DEADLINE)
    seconds_until_gone(f"TRACER_TEST={project.path}")
