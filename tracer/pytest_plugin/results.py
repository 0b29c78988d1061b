# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of all checks of a session: written baselines, the JSON report, the final table.

This runs in the process that gathers the reports. The tests may have run elsewhere, in a virtual
machine or in workers, so nothing is computed here and pandas is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tracer import __version__
from tracer.errors import TracerError
from tracer.output import write_whole
from tracer.pytest_plugin.outcome import INCONCLUSIVE, Checks, carried

SCHEMA = 1
_UPDATED, _NOT_WRITTEN = "updated", "not written"
_HEAD = ("test", "type", "stage", "base", "new", "change", "%", "verdict")
_LEFT = {0, 1, 2, 7}


class Results:
    """Gathers the checks from the reports of all processes."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._checks: Checks = []
        self._written: dict[Path, str] = {}
        self._no_report = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the checks from a report; write the baselines of a test that has passed.

        If a baseline cannot be written, the report is turned into a failed one, before other
        plugins see it.
        """
        found = carried(report)
        self._checks += found.get("checks", [])
        for update in found.get("updates", []):
            try:
                self._update(report.nodeid, Path(update["path"]), update["text"])
            except TracerError as error:
                report.outcome, report.longrepr = "failed", str(error)
                for check in self._checks:
                    if (check["nodeid"], check.get("path")) == (report.nodeid, update["path"]):
                        _not_written(check, str(error))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the JSON report, whether or not tests failed."""
        for check in self._checks:
            if check["verdict"] == _UPDATED and Path(check["path"]) not in self._written:
                _not_written(check, "its test failed")
        wanted = self._config.getoption("latency_report")
        if not wanted:
            return
        value = {"schema": SCHEMA, "tracer": __version__, "checks": self._checks}
        path = self._config.invocation_params.dir / wanted
        try:
            _write(path, json.dumps(value, indent=1) + "\n", "give another --latency-report")
        except TracerError as error:
            self._no_report = str(error)
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _update(self, nodeid: str, path: Path, text: str) -> None:
        """Write a baseline.

        Raises :class:`TracerError` if that fails, or another test has written the same file,
        which a worker could not notice, because it knows only its own tests.
        """
        if self._written.setdefault(path, nodeid) != nodeid:
            raise TracerError(
                f"cannot write {path}",
                f"it belongs to {self._written[path]} already",
                "give each test its own name",
            )
        try:
            _write(path, text, "make its directory writable, or set latency_baselines")
        except TracerError:
            del self._written[path]
            raise

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the inconclusive tests in full, then a line for every check."""
        _inconclusive(terminalreporter)
        if self._no_report:
            terminalreporter.write_line(f"ERROR: {self._no_report}", red=True)
        if not self._checks:
            return
        terminalreporter.section("latency")
        for line in _table(self._checks):
            terminalreporter.write_line(line)
        for check in self._checks:
            # A check that compared something has a row in the table, and its text above.
            said = check.get("message") if "rows" not in check else check.get("note")
            if said:
                terminalreporter.write_line(f"{_test(check)}: {said}")
        for path in self._written:
            terminalreporter.write_line(f"baseline written: {path}")


def _not_written(check: dict[str, Any], why: str) -> None:
    check["verdict"] = _NOT_WRITTEN
    check["message"] = check["note"] = why


def _inconclusive(terminal: pytest.TerminalReporter) -> None:
    reports = terminal.getreports(INCONCLUSIVE)
    if reports and terminal.config.option.tbstyle != "no":
        terminal.section("INCONCLUSIVE")
        for report in reports:
            terminal.write_sep("_", report.location[2])
            for line in report.longreprtext.splitlines():
                terminal.write_line(line)


def _table(checks: Checks) -> Iterator[str]:
    """The lines of the table of checks, times in ns. A check without rows compared nothing."""
    cells = [_HEAD]
    for check in checks:
        for row in check.get("rows") or [{}]:
            written = check["verdict"] != _NOT_WRITTEN
            verdict = row.get("verdict", check["verdict"]) if written else _NOT_WRITTEN
            cells.append(
                (
                    _test(check),
                    row.get("type", check["baseline"]),
                    f"{row['stage']} {row['quantile']}" if row else "",
                    *(_number(row.get(name), form) for name, form in _FORMS),
                    verdict,
                )
            )
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEAD))]
    for line in cells:
        told = [
            cell.ljust(width) if i in _LEFT else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(told).rstrip()


_FORMS = (
    ("base_ns", "{:,.0f}"),
    ("new_ns", "{:,.0f}"),
    ("change_ns", "{:+,.0f}"),
    ("change", "{:+.1%}"),
)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _test(check: dict[str, Any]) -> str:
    return str(check["nodeid"].rpartition("::")[2])


def _write(path: Path, text: str, todo: str) -> None:
    """Write the file whole or not at all, and make its directory if it is missing.

    Raises :class:`TracerError` with the advice ``todo`` if that fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{error.strerror} ({error.filename})"
        raise TracerError(f"cannot write {path}", why, todo) from error
    write_whole(path, lambda part: part.write_text(text), todo)
