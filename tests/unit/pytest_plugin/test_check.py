# SPDX-License-Identifier: GPL-2.0-or-later
"""Baselines: missing, damaged, of other conditions, made and made anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from latency_project import DETERMINISTIC, NO_PROBES, Project
from recording_copies import ALL_CHANNELS
from run_builder import STAGES, record, times

from tracer.compare.baseline import load


def said(result: pytest.RunResult) -> str:
    """The line that pytest's short summary gives the only test that failed."""
    (line,) = [one for one in result.stdout.str().splitlines() if one.startswith("FAILED")]
    return line


def test_no_baseline_is_a_failure_that_tells_how_to_make_one(project: Project) -> None:
    project.test(project.recording("new"))
    result = project.run()
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert f"no baseline {project.path / 'baselines' / 'echo.json'}" in text
    assert "make it with --latency-update" in text


def test_a_damaged_baseline_is_one_line(project: Project) -> None:
    file = project.baseline(project.recording("base"))
    file.write_text(file.read_text()[:100])
    project.test(project.recording("new", 2))
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "it is damaged: it is no JSON" in result.stdout.str()
    assert said(result)


def test_other_conditions_are_refused_unless_allowed(project: Project) -> None:
    project.baseline(project.recording("base"))
    new = project.recording("new", 2, meta=DETERMINISTIC | {"kernel": "7.0"})
    project.test(new)
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "differ in kernel" in result.stdout.str()
    assert "make the baseline anew with --latency-update, or waive it" in result.stdout.str()
    for allowed in ('["kernel"]', '"kernel"'):
        project.test(new, arguments=f'baseline="echo", allow={allowed}')
        result = project.run()
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["test_echo: compared although these may differ: kernel; *"])


@pytest.mark.parametrize(
    ("before", "now", "meta"),
    [
        (307, 30, DETERMINISTIC),
        (101, 102, DETERMINISTIC),
        (101, 100, DETERMINISTIC),
        (30, 31, {}),
    ],
)
def test_a_changed_workload_is_refused_unless_allowed(
    project: Project, before: int, now: int, meta: dict[str, Any]
) -> None:
    """Another number of requests is another workload, on any clock, however alike their medians."""
    project.baseline(project.recording("base", count=before, meta=meta))
    new = project.recording("new", 2, count=now, meta=meta)
    project.test(new)
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"cannot compare: echo.json and {new} differ in workload: netlink, msgchan echo: "
            f"{before} exchanges against {now}; record it again, make the baseline anew with *"
        ]
    )
    project.test(new, arguments='baseline="echo", allow="workload"')
    result = project.run()
    if meta:
        result.assert_outcomes(passed=1)
    assert "differ in workload" not in result.stdout.str()
    assert "compared although these may differ: workload" in result.stdout.str()


def test_a_baseline_knows_tails(project: Project) -> None:
    """Eight of 400 echoes wait 1 ms; then the same from a baseline that had that already."""
    stages = 'baseline="echo", stage=["handler", "reply", "copy"]'
    usual = times(np.random.default_rng(1), 400, spread=0)
    slow = usual.copy()
    slow[::50, STAGES.index("handler")] += 1_000_000
    paths = {
        name: record(project.path / "recordings" / name, values, **DETERMINISTIC)
        for name, values in (("usual", usual), ("again", usual), ("slow", slow))
    }
    project.baseline(paths["usual"], paths["again"])
    project.test(paths["usual"], arguments=stages)
    project.run().assert_outcomes(passed=1)
    project.test(paths["slow"], arguments=stages)
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "8 of 400 slower than 55,100 ns, base 0 of 800\n" in result.stdout.str()
    project.baseline(paths["slow"])
    project.run().assert_outcomes(passed=1)


def test_an_untrusted_recording_is_refused(project: Project) -> None:
    project.baseline(project.recording("base"))
    meta = DETERMINISTIC | {"losses": {"recursion_misses": 3}}
    project.test(project.recording("new", 2, meta=meta))
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "is untrusted (recursion misses" in result.stdout.str()
    project.test(project.path / "recordings" / "new", arguments='baseline="x", allow=["untrusted"]')
    result = project.run("--latency-update")
    result.assert_outcomes(failed=1)
    assert "is untrusted" in result.stdout.str()
    assert "record it again: a baseline holds nothing else" in result.stdout.str()
    assert "allow" not in said(result)


@pytest.mark.parametrize("option", ["--latency-update", "-v"])
def test_no_run_is_one_line(project: Project, option: str) -> None:
    project.baseline(project.recording("base"))
    project.test()
    result = project.run(option)
    result.assert_outcomes(failed=1)
    assert "cannot check: there is no run; give what latency.trace" in result.stdout.str()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('baseline="../echo"', "cannot use the baseline name"),
        ('baseline="echo", max_shift="much"', "cannot use max_shift='much'"),
        ('baseline="echo", allow=["moon"]', "cannot allow 'moon'"),
        ('baseline="echo", type="notify"', "nothing to compare"),
        ('baseline="echo", stage=["copy", "handlr"]', "no stage 'handlr' has 10 settled"),
    ],
)
def test_arguments_that_make_no_sense_are_one_line(
    project: Project, arguments: str, text: str
) -> None:
    project.baseline(project.recording("base"))
    project.test(project.recording("new", 2), arguments=arguments)
    result = project.run()
    result.assert_outcomes(failed=1)
    assert text in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_stage_type_and_shift_select(project: Project) -> None:
    project.baseline(project.recording("base"))
    new = project.recording("new", 2, add={"handler": 400})
    for arguments, outcome in [
        ('baseline="echo"', "failed"),
        ('baseline="echo", stage="copy"', "passed"),
        ('baseline="echo", stage=["copy", "handler"], type="netlink"', "failed"),
        ('baseline="echo", stage="handler", type="msgchan echo", max_shift="10%"', "passed"),
        ('baseline="echo", stage="handler", max_shift="500ns"', "passed"),
        ('baseline="echo", stage="handler", max_shift="300ns"', "failed"),
        ('baseline="echo", stage="handler", max_shift="1% 500ns"', "passed"),
    ]:
        project.test(new, arguments=arguments)
        project.run().assert_outcomes(**{outcome: 1})


def test_several_runs_settle_a_wall_clock(project: Project) -> None:
    base = [project.recording(f"base{i}", i, meta={}) for i in range(5)]
    new = [project.recording(f"new{i}", 10 + i, meta={}, add={"copy": 900}) for i in range(5)]
    project.baseline(*base)
    allowed = 'baseline="echo", allow="order"'
    project.test(*new, arguments=allowed)
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "slower: netlink, msgchan echo: copy" in result.stdout.str()
    like = [project.recording(f"like{i}", 20 + i, meta={}) for i in range(5)]
    project.test(*like, arguments=allowed)
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("add", [0, 900, 50_000, -900])
def test_a_wall_clock_baseline_settles_nothing_unless_its_age_is_allowed(
    project: Project, add: int
) -> None:
    """The runs of a baseline were recorded before; what the machine does since is no change."""
    start = {"started": "2026-11-20T01:00:00+00:00"}
    project.baseline(*[project.recording(f"base{i}", i, meta=start) for i in range(5)])
    new = [project.recording(f"new{i}", 9 + i, meta={}, add={"copy": add}) for i in range(5)]
    project.test(*new)
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"inconclusive": 1}
    result.stdout.fnmatch_lines(
        [
            "inconclusive: netlink, msgchan echo: *; the sides were not recorded in turn (at one *",
            "A baseline on a wall clock was recorded before the runs, never in turn with them. Use",
            'pytest --latency-lab, whose clock counts instructions, or say allow="order" in the *',
        ]
    )


def test_an_update_makes_what_a_check_then_accepts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.path / "baselines" / "echo.json"
    project.test(project.recording("new"), arguments='baseline="echo", type="netlink"')
    result = project.run("--latency-update")
    result.assert_outcomes(passed=1)
    assert f"baseline written: {file}" in result.stdout.str()
    assert load(file).made["test"] == "test_echo.py::test_echo"
    text = file.read_text()
    project.run().assert_outcomes(passed=1)
    project.run("--latency-update")
    assert file.read_text() == text
    assert load(file).made["command"] == "pytest --latency-update"
    monkeypatch.setenv("TRACER_LAB", "1")
    project.run("--latency-update")
    assert load(file).made["command"] == "pytest --latency-lab --latency-update"


def test_an_update_shows_what_it_changes(project: Project) -> None:
    file = project.baseline(project.recording("base"))
    before = file.read_text()
    project.test(project.recording("new", 2, add={"handler": 5000}))
    result = project.run("--latency-update")
    result.assert_outcomes(passed=1)
    (line,) = [one for one in result.stdout.str().splitlines() if one.endswith("updated")]
    assert "total p50" in line
    assert "+5,0" in line
    assert file.read_text() != before


def test_an_update_shows_what_it_changes_whatever_the_kernel_was(project: Project) -> None:
    project.baseline(project.recording("base"))
    meta = DETERMINISTIC | {"kernel": "7.0"}
    project.test(project.recording("new", 2, add={"handler": 5000}, meta=meta))
    result = project.run("--latency-update")
    result.stdout.fnmatch_lines(["test_echo * total p50 * +5,0* updated"])


def test_a_test_that_fails_otherwise_updates_nothing(project: Project) -> None:
    file = project.baseline(project.recording("base"))
    before = file.read_text()
    new = project.recording("new", 2, add={"handler": 5000})
    project.pytester.makepyfile(
        f"""
        import pytest, tracer

        @pytest.fixture
        def leaky():
            yield
            assert False, "torn down badly"

        def test_echo(latency, leaky):
            latency.check(tracer.load({str(new)!r}), baseline="echo")

        def test_other(latency):
            latency.check(tracer.load({str(new)!r}), baseline="other")
            assert False, "for another reason"
        """
    )
    result = project.run("--latency-update")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    assert file.read_text() == before
    assert not (project.path / "baselines" / "other.json").exists()
    assert "not written" in result.stdout.str()
    assert "baseline written" not in result.stdout.str()


def test_checks_of_one_test_share_a_baseline(project: Project) -> None:
    new = project.recording("new")
    project.pytester.makepyfile(
        f"""
        import tracer

        def test_echo(latency):
            run = tracer.load({str(new)!r})
            latency.check(run, baseline="echo", stage="copy", type="netlink")
            latency.check(run, baseline="echo", stage="handler")
        """
    )
    project.run("--latency-update").assert_outcomes(passed=1)
    result = project.run("--latency-report=out.json")
    result.assert_outcomes(passed=1)
    checks = json.loads((project.path / "out.json").read_text())["checks"]
    assert [check["stages"] for check in checks] == [["copy"], ["handler"]]


@pytest.mark.parametrize("arguments", [('type="getsockopt"', ""), ("", 'type="getsockopt"')])
def test_the_widest_check_decides_what_a_baseline_holds(
    project: Project, arguments: tuple[str, str]
) -> None:
    checks = [f'latency.check(run, baseline="all", {one})' for one in arguments]
    project.pytester.makepyfile(
        f"""
        import tracer

        def test_all(latency):
            run = tracer.load({str(ALL_CHANNELS)!r})
            {checks[0]}
            {checks[1]}
        """
    )
    project.run("--latency-update").assert_outcomes(passed=1)
    (run,) = load(project.path / "baselines" / "all.json").runs
    assert {"netlink", "getsockopt", "setsockopt"} <= set(run.lines.index.unique("channel"))


def test_two_tests_with_one_baseline_are_refused_at_the_update(project: Project) -> None:
    new = project.recording("new")
    project.test(new)
    project.test(new, name="test_other")
    result = project.run("--latency-update")
    result.assert_outcomes(passed=1, failed=1)
    assert "belongs to test_echo.py::test_echo already" in result.stdout.str()


def test_two_sets_of_runs_with_one_baseline_are_refused_at_the_update(project: Project) -> None:
    new, other = project.recording("new"), project.recording("other", 2)
    project.pytester.makepyfile(
        f"""
        import tracer

        def test_echo(latency):
            for path in ({str(new)!r}, {str(other)!r}):
                latency.check(tracer.load(path), baseline="echo")
        """
    )
    result = project.run("--latency-update")
    result.assert_outcomes(failed=1)
    assert "is checked with two sets of runs" in result.stdout.str()


def test_a_test_that_is_run_again_updates_with_its_last_runs(project: Project) -> None:
    paths = [str(project.recording(name, seed)) for name, seed in (("new", 1), ("again", 2))]
    project.pytester.makeconftest(
        NO_PROBES
        + """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, log=False, nextitem=nextitem)
    runtestprotocol(item, nextitem=nextitem)
    return True
"""
    )
    project.pytester.makepyfile(
        f"""
        import tracer

        PATHS = {paths!r}

        def test_echo(latency):
            path = PATHS.pop(0)
            latency.check(tracer.load(path), baseline="echo")
            assert not PATHS, "fails the first time"
        """
    )
    result = project.run("--latency-update")
    result.assert_outcomes(passed=1)
    assert "baseline written: " in result.stdout.str()
    project.test(Path(paths[1]), arguments='baseline="echo", max_shift="1ns", stage="total"')
    project.run().assert_outcomes(passed=1)


def test_few_runs_on_a_wall_clock_are_noted_at_the_update(project: Project) -> None:
    project.test(project.recording("new", meta={}))
    result = project.run("--latency-update")
    result.assert_outcomes(passed=1)
    assert "fewer than 5 runs a side settle next to nothing" in result.stdout.str()
    assert 'say allow="order" in the check' in result.stdout.str()
    new = [project.recording(f"new{i}", i, 11, meta={}) for i in range(5)]
    project.test(*new)
    assert "fewer than" not in project.run("--latency-update").stdout.str()
    project.test(*new, arguments='baseline="echo", allow="order"')
    assert "A baseline on a wall clock" not in project.run("--latency-update").stdout.str()


def test_baselines_elsewhere(project: Project) -> None:
    project.pytester.makeini("[pytest]\nlatency_baselines = kept/here\n")
    project.test(project.recording("new"))
    project.run("--latency-update").assert_outcomes(passed=1)
    assert Path(project.path / "kept" / "here" / "echo.json").exists()
    project.run().assert_outcomes(passed=1)
