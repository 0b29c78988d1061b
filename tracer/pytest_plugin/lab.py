# SPDX-License-Identifier: GPL-2.0-or-later
"""``--latency-lab``: runs the latency tests in one virtual machine and replays their reports here.

The machine is booted when the first latency test is due, and runs all of them. The pytest in the
machine writes its reports to a shared directory (:mod:`tracer.pytest_plugin.guest`), where this
process reads them as they come.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tracer.lab.group import Group
from tracer.pytest_plugin.guest import EXIT_STATUS, REPORTS
from tracer.resources import project_root

#: Between two looks at the reports, wait at most so long for the machine's end.
_POLL_SECONDS = 0.1
_PHASES = ("setup", "call", "teardown")
#: Environment variables that the tests may depend on. The lab does not pass them on by itself.
_ENVIRONMENT = ("PYTHONPATH", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
_LAB_FAILED = 2


class Lab:
    """Runs the latency tests in the machine instead of in this process."""

    def __init__(self, config: pytest.Config) -> None:
        if config.getoption("dist", "no") != "no":
            raise pytest.UsageError(
                "--latency-lab runs all tests in one machine: leave out -n and --dist, or say -n 0"
            )
        if config.getoption("latency_lab_timeout") < 1:
            raise pytest.UsageError("--latency-lab-timeout takes at least 1 second")
        self._config = config
        self._guest: GuestRun | None = None
        self._incomplete = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Replay the item's reports instead of running it; the first one boots the machine."""
        if item.get_closest_marker("latency") is None:
            return None
        if self._guest is None:
            self._guest = self._boot(item.session)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item, self._guest):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Wait for the machine's end, whose status can still fail the session."""
        guest = self._guest
        if guest is None:
            return
        ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if session.shouldstop or session.shouldfail or not ended:
            guest.stop()
            return
        guest.wait()
        # If the guest's kernel complained, the lab fails even if every test passed.
        if guest.status != guest.reported_status:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self._incomplete = True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the machine's output if it may explain why reports are missing."""
        guest = self._guest
        if guest is None:
            return
        terminalreporter.section("latency lab")
        if self._incomplete:
            for stream in (guest.stdout, guest.stderr):
                if text := stream.read_text(errors="replace").strip():
                    terminalreporter.write_line(text)
        terminalreporter.write_line(f"output and recordings: {guest.directory}")

    def _boot(self, session: pytest.Session) -> GuestRun:
        nodeids = [i.nodeid for i in session.items if i.get_closest_marker("latency")]
        directory = _new_directory((project_root() or self._config.rootpath) / "runs" / "latency")
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"latency lab: booting for {len(nodeids)} tests, {directory}")
        argv = lab_command(self._config, guest_command(self._config, nodeids, directory))
        return GuestRun(argv, directory, self._config)

    def _reports(self, item: pytest.Item, guest: GuestRun) -> list[pytest.TestReport]:
        """The item's reports; missing ones are replaced by failures that say why."""
        reports = guest.reports_of(item.nodeid)
        seen = {report.when for report in reports}
        if "teardown" in seen:
            return reports
        self._incomplete = True
        missing = [when for when in _PHASES if when not in seen]
        if guest.never_started() or any(report.failed for report in reports):
            missing = [when for when in missing if when != "call"]
        elif missing[0] == "setup":
            # It is unknown how far the test came. Let its setup pass, so that it counts as a
            # failure of the test and not as an error in its fixtures.
            reports.append(_synthetic(item, "setup", ""))
            missing.remove("setup")
        why = guest.why_missing()
        return [*reports, *(_synthetic(item, when, why * (when == missing[0])) for when in missing)]


class GuestRun:
    """The machine while it runs: its process, and the reports that have come so far."""

    def __init__(self, argv: Sequence[str], directory: Path, config: pytest.Config) -> None:
        self.directory = directory
        self.stdout, self.stderr = directory / "stdout", directory / "stderr"
        self.reported_status: int | None = None
        self._config = config
        self._reports: dict[str, list[pytest.TestReport]] = {}
        self._lines = directory / REPORTS
        self._lines.touch()
        self._read_to = 0
        self._heard = time.time()
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            # The lab is killed when this pytest ends, however that happens.
            self._group = Group(
                argv, cwd=config.rootpath, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        self._process = self._group.process

    @property
    def status(self) -> int | None:
        """The exit status of ``tracer lab``, None while it runs."""
        return self._process.poll()

    def reports_of(self, nodeid: str) -> list[pytest.TestReport]:
        """The reports of an item; waits until it is torn down or the machine has ended."""
        while True:
            ended = self._process.poll() is not None
            self._read()
            found = self._reports.get(nodeid, [])
            if ended or self.is_complete() or any(r.when == "teardown" for r in found):
                return list(found)
            try:
                self._process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue

    def is_complete(self) -> bool:
        """Whether the pytest in the machine came to its end."""
        return self.reported_status is not None

    def never_started(self) -> bool:
        """Whether the lab itself failed before any test ran."""
        return self.status == _LAB_FAILED and not self._reports and not self.is_complete()

    def why_missing(self) -> str:
        """A few lines that say why a report is missing."""
        told = self.stderr.read_text(errors="replace").strip().splitlines()
        if self.is_complete():
            return (
                "latency lab: the pytest in the machine ended with status "
                f"{self.reported_status} and without a report of this test; see {self.stdout}"
            )
        if self.never_started():
            return f"latency lab: {told[-1] if told else 'it could not start'}"
        said = [line for line in told if line.startswith("lab: ")]
        why = said[1:] or [f"tracer lab ended with status {self.status}"]
        return "\n".join(["latency lab: no report of this test", *why, f"output: {self.directory}"])

    def wait(self) -> None:
        """Wait for the machine's end and its last output. The lab's own timeout bounds the wait."""
        self._process.wait()
        self._group.close()
        self._read()

    def stop(self) -> None:
        """End the machine, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._group.close()

    def _read(self) -> None:
        """Read the complete lines that were added since the last time."""
        with self._lines.open("rb") as file:
            file.seek(self._read_to)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            value = json.loads(line)
            if EXIT_STATUS in value:
                self.reported_status = value[EXIT_STATUS]
                continue
            now = time.time()
            # Use this side's times: the machine's clock may count instructions, and then it jumps
            # ahead while the machine waits.
            value |= {"start": self._heard, "stop": now, "duration": now - self._heard}
            self._heard = now
            for name in ("location", "longrepr"):
                # pytest expects tuples here, which JSON has turned into lists.
                value[name] = tuple(value[name]) if isinstance(value[name], list) else value[name]
            report = self._config.hook.pytest_report_from_serializable(
                config=self._config, data=value
            )
            self._reports.setdefault(report.nodeid, []).append(report)


def guest_command(config: pytest.Config, nodeids: Sequence[str], directory: Path) -> list[str]:
    """The pytest command for the machine: these tests, with the options that affect them."""
    option = config.option
    argv = [sys.executable, "-m", "pytest", f"--latency-guest={directory}", "--latency"]
    # addopts has been read already: what matters of it is in ``option`` and is passed on below.
    # Its options for reports belong to this side.
    argv += ["-o", "addopts=", "-p", "no:cacheprovider", "--color=no", "-q", "--no-summary"]
    argv += [f"--rootdir={config.rootpath}"]
    argv += ["-c", str(config.inipath)] if config.inipath else []
    argv += [f"--confcutdir={option.confcutdir}"] if option.confcutdir else []
    argv += [f"--maxfail={option.maxfail}"] if option.maxfail else []
    argv += [f"--tb={option.tbstyle}", f"--capture={option.capture}"]
    argv += [f"--import-mode={option.importmode}"]
    argv += [word for plugin in option.plugins for word in ("-p", plugin)]
    argv += [word for value in option.override_ini or [] for word in ("-o", value)]
    argv += [word for value in option.pythonwarnings or [] for word in ("-W", value)]
    argv += ["--latency-update"] if config.getoption("latency_update") else []
    argv += shlex.split(config.getoption("latency_lab_args"))
    kept = [f"{name}={os.environ[name]}" for name in _ENVIRONMENT if name in os.environ]
    return [*(["env", *kept] if kept else []), *argv, *nodeids]


def lab_command(config: pytest.Config, command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` by ``tracer lab``."""
    argv = [sys.executable, "-m", "tracer", "lab"]
    argv += [] if config.getoption("latency_lab_wall") else ["--deterministic"]
    argv += [f"--timeout={config.getoption('latency_lab_timeout'):g}", "--"]
    return [*argv, *command]


def _new_directory(root: Path) -> Path:
    """A new directory for this session in ``root``; ends the session if there can be none."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=root))
    except OSError as error:
        raise pytest.UsageError(
            f"--latency-lab cannot write {root}: {error.strerror} ({error.filename}); "
            "make it a directory that can be written"
        ) from error


def _synthetic(item: pytest.Item, when: Any, why: str) -> pytest.TestReport:
    """A report that is made up here, for one that is missing: passed, or failed with ``why``."""
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={name: 1 for name in item.keywords},
        outcome="failed" if why else "passed",
        longrepr=why or None,
        when=when,
    )
