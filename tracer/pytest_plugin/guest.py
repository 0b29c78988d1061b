# SPDX-License-Identifier: GPL-2.0-or-later
"""In the virtual machine: hand every report to the host as it comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracer.pytest_plugin import options

#: In the shared directory: one JSON object a line.
REPORTS = "reports.jsonl"
EXIT_STATUS = "$exit_status"


class Guest:
    """Writes each report as a line that the host can read at once."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._path = Path(config.getoption(options.GUEST)) / REPORTS

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One line per report."""
        self._tell(
            self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The last line is the exit status, so that the host knows that nothing is missing."""
        self._tell({EXIT_STATUS: int(exitstatus)})

    def _tell(self, value: dict[str, object]) -> None:
        # Opened for each line: closing is what brings it to the host.
        with self._path.open("a") as file:
            file.write(json.dumps(value) + "\n")
