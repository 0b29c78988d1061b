# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin: tests that fail when the latency of messages regresses.

Where tracer is installed, pytest loads this package in every session of every project. So
nothing heavy is imported here: numpy, pandas and BCC are imported by the first test that traces
or checks.
"""

from __future__ import annotations

import pytest

from tracer.pytest_plugin import options, outcome
from tracer.pytest_plugin.fixture import latency, latency_probes
from tracer.pytest_plugin.guest import Guest
from tracer.pytest_plugin.lab import Lab
from tracer.pytest_plugin.outcome import (
    LatencyFailure,
    LatencyInconclusive,
    LatencyRegression,
    LatencyUnfit,
)
from tracer.pytest_plugin.results import Results

__all__ = [
    "LatencyFailure",
    "LatencyInconclusive",
    "LatencyRegression",
    "LatencyUnfit",
    "latency",
    "latency_probes",
]

MARKER = "latency: checks the latency of messages; tests that use the fixture `latency` have it"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the ini value."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the parts that this session needs."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(outcome, "latency-outcome")
    if config.getoption(options.GUEST):
        config.pluginmanager.register(Guest(config), "latency-guest")
        return
    if options.is_worker(config):
        return
    config.pluginmanager.register(Results(config), "latency-results")
    if config.getoption("latency_lab"):
        config.pluginmanager.register(Lab(config), "latency-lab")
    elif config.getoption("latency_lab_wall"):
        raise pytest.UsageError("--latency-lab-wall says which machine: give --latency-lab too")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the fixture ``latency``, before ``-m latency`` selects tests."""
    for item in items:
        if "latency" in getattr(item, "fixturenames", ()):
            item.add_marker("latency")
