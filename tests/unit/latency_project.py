# SPDX-License-Identifier: GPL-2.0-or-later
"""A project with a latency test, whose runs are recordings made to measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_builder import META, record, times

# Loaded here, for pytester forgets what a session inside this one imports, and numpy cannot
# be loaded twice.
import tracer
from tracer.compare import baseline
from tracer.compare.digest import digest
from tracer.pytest_plugin import check

assert check

DETERMINISTIC = {"clock": META["clock"] | {"deterministic": True}}
#: Instead of probes: the recordings are there already.
NO_PROBES = """
import pytest

@pytest.fixture(scope="session")
def latency_probes():
    return None
"""
TEST = """
import tracer

def {name}(latency):
    runs = [tracer.load(path) for path in {paths}]
    latency.check(runs, {arguments})
"""


class Project:
    """Tests and baselines in a directory of their own, run in this process."""

    def __init__(self, pytester: pytest.Pytester, make: Callable[..., Path]) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.make = make
        pytester.makeconftest(NO_PROBES)

    def recording(self, name: str, seed: int = 1, count: int = 101, **how: Any) -> Path:
        """A recording on the deterministic clock; ``how`` as in :func:`run_builder.times`."""
        meta = how.pop("meta", DETERMINISTIC)
        stage_times = times(np.random.default_rng(seed), count, **({"spread": 0.001} | how))
        return record(self.path / "recordings" / name, stage_times, **meta)

    def baseline(self, *paths: Path, name: str = "echo") -> Path:
        """The baseline that these recordings make."""
        file = self.path / "baselines" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        made = baseline.make(
            [digest(tracer.load(path)) for path in paths], (), test="t", command="c"
        )
        file.write_text(baseline.dumps(made))
        return file

    def test(
        self, *paths: Path, arguments: str = 'baseline="echo"', name: str = "test_echo"
    ) -> None:
        """Write a test file with one check of these recordings."""
        text = TEST.format(name=name, paths=[str(path) for path in paths], arguments=arguments)
        self.pytester.makepyfile(**{name: text})

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest here."""
        return self.pytester.runpytest("-p", "no:cacheprovider", *arguments)
