# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests fail now and then: run each many times under load and count. See scripts/flaky."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack

import pytest

from tracer.lab.group import Group

BUSY = [sys.executable, "-c", "while True: pass"]


class Repeat:
    """A pytest plugin: every test runs ``times`` times, and its failures are counted."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.runs: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.loads: list[float] = []

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Add a parameter that only counts."""
        metafunc.fixturenames.append("time_of_many")
        metafunc.parametrize("time_of_many", range(self.times))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a run once, a failure by its phase."""
        file, _, test = report.nodeid.partition("::")
        name = f"{file}::{test.partition('[')[0]}"
        self.runs[name] += report.when == "setup"
        self.failures[name] += report.failed
        self.loads.append(os.getloadavg()[0])

    def table(self) -> list[str]:
        """A line a file, and one below it for each test that failed."""
        lines = []
        for file in dict.fromkeys(name.partition("::")[0] for name in self.runs):
            tests = [name for name in self.runs if name.startswith(f"{file}::")]
            failed = {name: self.failures[name] for name in tests if self.failures[name]}
            runs = sum(self.runs[name] for name in tests)
            lines.append(
                f"{file}: {len(tests)} tests, {self.times} times each, {runs} runs, "
                f"{sum(failed.values())} failures"
            )
            for name, count in failed.items():
                lines.append(f"  {name.partition('::')[2]}: {count} of {self.runs[name]}")
        return lines


def main() -> int:
    """Run the tests, print the table; pytest's exit status."""
    parser = argparse.ArgumentParser(prog="scripts/flaky", allow_abbrev=False)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--load", type=int, default=8)
    given, rest = parser.parse_known_args()
    repeat = Repeat(given.times)
    commit = subprocess.getoutput("git describe --always --dirty")
    with ExitStack() as busy:
        for _ in range(given.load):
            busy.enter_context(Group(BUSY, stdin=subprocess.DEVNULL))
        # A test that hangs says where.
        options = ["-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=900", "--tb=short"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = pytest.main([*options, *rest], plugins=[repeat])
    print(f"commit {commit}", end="; ")
    if repeat.loads:
        print(f"load average {min(repeat.loads):.1f} to {max(repeat.loads):.1f}, ", end="")
    print(f"{given.load} of it by busy loops of this command's own")
    print("\n".join(repeat.table()))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
