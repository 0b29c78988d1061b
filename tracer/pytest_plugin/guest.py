# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's part in the virtual machine: it passes every test report to the host at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracer.pytest_plugin import options

#: The file in the shared directory, with one JSON object a line.
REPORTS = "reports.jsonl"
EXIT_STATUS = "$exit_status"


class Guest:
    """Writes each report as a line that the host can read at once."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._path = Path(config.getoption(options.GUEST)) / REPORTS

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the report as one line."""
        self._tell(
            self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the exit status as the last line, by which the host knows that none is missing."""
        self._tell({EXIT_STATUS: int(exitstatus)})

    def _tell(self, value: dict[str, object]) -> None:
        # Open and close the file for each line: the host sees it only when the file is closed.
        with self._path.open("a") as file:
            file.write(json.dumps(value) + "\n")
