# SPDX-License-Identifier: GPL-2.0-or-later
"""Hooks that turn failed checks into test outcomes.

A failed check is shown as its text instead of a traceback, and "inconclusive" is an outcome of
its own. The result of a check is attached to the test's report as ``latency``, in plain values,
so that it can be sent from a virtual machine or another process.
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
#: The checks of a test that are not yet attached to a report.
CHECKS = pytest.StashKey[Checks]()
#: The baselines to write if the test passes.
UPDATES = pytest.StashKey[Checks]()
_NOT_PASSED = pytest.StashKey[bool]()
_CAUGHT = (
    "The test caught this and went on. A failure that is expected is said so by the test's mark:\n"
    "@pytest.mark.xfail(raises=LatencyRegression, strict=True)"
)


def carried(report: pytest.CollectReport | pytest.TestReport) -> dict[str, Any]:
    """What is attached to a report: checks, updates, and of a failed check outcome and headline."""
    found: dict[str, Any] = getattr(report, ATTRIBUTE, {})
    return found


class LatencyFailure(AssertionError):
    """A check that did not pass. ``headline`` is one line, ``text`` the whole explanation."""

    outcome = "failed"

    def __init__(self, headline: str, text: str = "") -> None:
        super().__init__(headline)
        self.headline = headline
        self.text = text or headline


class LatencyRegression(LatencyFailure):
    """Slower than the baseline."""


class LatencyInconclusive(LatencyFailure):
    """It is open whether the messages became slower. The test does not pass."""

    outcome = INCONCLUSIVE


class LatencyUnfit(LatencyFailure):
    """Nothing could be compared, for want of a baseline, other conditions, an untrusted run."""


#: The failed checks of a test that are not yet in a report.
FAILURES = pytest.StashKey[list[LatencyFailure]]()


def passed_so_far(item: pytest.Item) -> bool:
    """Whether no phase of this test has failed or was skipped so far."""
    return not item.stash.get(_NOT_PASSED, False)


class Told(TerminalRepr):
    """A failure that is shown as its text alone, without a traceback.

    pytest uses ``reprcrash`` for its short summary and for JUnit.
    """

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
    """Forget the checks of an earlier attempt: pytest-rerunfailures may run a test again."""
    item.stash[CHECKS], item.stash[UPDATES], item.stash[_NOT_PASSED] = [], [], False
    item.stash[FAILURES] = []
    return (yield from _nothing_caught(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let a failed check fail its test, even if the test catches the exception."""
    return (yield from _nothing_caught(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """The same for the teardown, since fixtures may check as well."""
    return (yield from _nothing_caught(item))


def _nothing_caught(item: pytest.Item) -> Generator[None, object, object]:
    """Run a phase of the test; raise what a check raised in it and the test caught.

    So neither ``except Exception`` nor ``pytest.raises`` nor a skip makes a failed check pass. If
    the phase ends with another exception, that fails the test anyway, or it is
    ``pytest.xfail``, which declares the failure.
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
    """Attach the checks, and the text of a failed one, to the test's report."""
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
    """Restore the text of a failed check in a report that came from another process."""
    report = yield
    found = carried(report)
    if "headline" in found and isinstance(report.longrepr, str):
        report.longrepr = Told(found["where"], found["headline"], report.longrepr)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Give "inconclusive" its own letter, word and count; the report itself stays failed."""
    if report.failed and carried(report).get("outcome") == INCONCLUSIVE:
        return INCONCLUSIVE, "I", ("INCONCLUSIVE", {"yellow": True})
    return None
