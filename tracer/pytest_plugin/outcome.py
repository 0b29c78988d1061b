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
_FAILED = pytest.StashKey[bool]()


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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget an earlier attempt: plugins such as pytest-rerunfailures run a test again."""
    item.stash[CHECKS], item.stash[UPDATES], item.stash[_FAILED] = [], [], False


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
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or not report.passed
    if report.when == "teardown" and not item.stash[_FAILED]:
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
