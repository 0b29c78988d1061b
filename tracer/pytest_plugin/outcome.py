# SPDX-License-Identifier: GPL-2.0-or-later
"""How a failed check looks: its text instead of a traceback, and "inconclusive" as an outcome.

A plugin of hooks of its own. What a check found travels on the test's report as ``latency``
(plain values), so it survives the way from a virtual machine or another process.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

INCONCLUSIVE = "inconclusive"
ATTRIBUTE = "latency"
Checks = list[dict[str, Any]]
#: The checks of a test that no report carries yet.
CHECKS = pytest.StashKey[Checks]()
#: The baselines that a test wants written, if it passes in the end.
UPDATES = pytest.StashKey[Checks]()
_NOT_PASSED = pytest.StashKey[bool]()
_CAUGHT = (
    "The test caught this and went on. A failure that is expected is said so by the test's mark:\n"
    "@pytest.mark.xfail(raises=LatencyRegression, strict=True)"
)


def carried(report: pytest.CollectReport | pytest.TestReport) -> dict[str, Any]:
    """What a report carries: checks, updates, and of a failed check outcome, headline, where."""
    found: dict[str, Any] = getattr(report, ATTRIBUTE, {})
    return found


class LatencyFailure(AssertionError):
    """A check that does not pass. ``headline`` is one line, ``text`` all there is to say."""

    outcome = "failed"

    def __init__(self, headline: str, text: str = "") -> None:
        super().__init__(headline)
        self.headline = headline
        self.text = text or headline


class LatencyRegression(LatencyFailure):
    """Slower than the baseline."""


class LatencyInconclusive(LatencyFailure):
    """Neither slower nor not: no pass, but an outcome of its own."""

    outcome = INCONCLUSIVE


class LatencyUnfit(LatencyFailure):
    """Nothing was compared: no baseline, other conditions, a recording nobody should trust."""


#: The checks of a test that failed and that no report has told of yet.
FAILURES = pytest.StashKey[list[LatencyFailure]]()


def passed_so_far(item: pytest.Item) -> bool:
    """Whether no phase of this test has failed or was skipped until now."""
    return not item.stash.get(_NOT_PASSED, False)


class Told(TerminalRepr):
    """A failure as its text alone; pytest takes ``reprcrash`` for its short summary and JUnit."""

    def __init__(self, where: Sequence[Any], headline: str, text: str) -> None:
        path, lineno = where
        self.reprcrash = ReprFileLocation(path, lineno, headline)
        self.text = text

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write the text."""
        for line in self.text.splitlines():
            tw.line(line)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Forget an earlier attempt: plugins such as pytest-rerunfailures run a test again."""
    item.stash[CHECKS], item.stash[UPDATES], item.stash[_NOT_PASSED] = [], [], False
    item.stash[FAILURES] = []
    return (yield from _nothing_caught(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A check that failed fails its test, whatever the test makes of it."""
    return (yield from _nothing_caught(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """As in the call: fixtures may check as well."""
    return (yield from _nothing_caught(item))


def _nothing_caught(item: pytest.Item) -> Generator[None, object, object]:
    """Run a phase of the test; raise what a check raised in it and the test caught.

    Neither ``except Exception`` nor ``pytest.raises`` nor a skip makes a failed check pass. What
    else the phase raises fails the test by itself, or is ``pytest.xfail``, which says that it
    does.
    """
    try:
        result = yield
    except pytest.skip.Exception:
        _raise_caught(item)
        raise
    except BaseException:
        item.stash[FAILURES] = []
        raise
    _raise_caught(item)
    return result


def _raise_caught(item: pytest.Item) -> None:
    failures, item.stash[FAILURES] = item.stash.get(FAILURES, []), []
    for failure in failures:
        failure.text += f"\n\n{_CAUGHT}"
        raise failure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the checks, and the text of one that failed, on the test's report."""
    report = yield
    found: dict[str, Any] = {"checks": item.stash.get(CHECKS, [])}
    item.stash[CHECKS] = []
    if call.excinfo is not None and isinstance(call.excinfo.value, LatencyFailure):
        failure = call.excinfo.value
        found |= {"outcome": failure.outcome, "headline": failure.headline}
        found["where"] = [str(item.path), (item.reportinfo()[1] or 0) + 1]
        report.longrepr = Told(found["where"], failure.headline, failure.text)
    item.stash[_NOT_PASSED] = not passed_so_far(item) or not report.passed
    if report.when == "teardown" and passed_so_far(item):
        found["updates"] = item.stash.get(UPDATES, [])
    if found["checks"] or len(found) > 1:
        report.__dict__[ATTRIBUTE] = found
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_from_serializable(data: dict[str, Any]) -> Generator[None, Any, Any]:
    """Give a report that comes from elsewhere its text back as more than a text."""
    report = yield
    found = carried(report)
    if "headline" in found and isinstance(report.longrepr, str):
        report.longrepr = Told(found["where"], found["headline"], report.longrepr)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """A letter, a word and a count of its own; the report itself stays failed."""
    if report.failed and carried(report).get("outcome") == INCONCLUSIVE:
        return INCONCLUSIVE, "I", ("INCONCLUSIVE", {"yellow": True})
    return None
