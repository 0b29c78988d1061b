# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's guest computes right: QEMU 7.2's AVX2 did not, and numpy sorts with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint64])
def test_numpy_sorts_right(kind: type[np.integer]) -> None:
    random = np.random.default_rng(1)
    for size in (5, 23, 71, 100, 300, 1000):
        for _ in range(10):
            values = random.integers(0, 2**31 - 1, size).astype(kind)
            assert values[np.argsort(values)].tolist() == sorted(values.tolist())
            distinct, inverse = np.unique(values, return_inverse=True)
            assert (distinct[inverse] == values).all()


def test_the_clock_is_not_the_hpet() -> None:
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    assert source.read_text().strip() not in ("hpet", "acpi_pm")


def options_of(path: Path) -> str:
    """The options of the mount that ``path`` lies on."""
    lines = Path("/proc/mounts").read_text().splitlines()
    mounts = {fields[1]: fields[3] for fields in map(str.split, lines)}
    return next(mounts[str(at)] for at in (path, *path.parents) if str(at) in mounts)


def test_files_that_stay_as_they_are_are_cached() -> None:
    """Without a cache a start of Python asks the host thousands of times."""
    assert "lowerdir=/run/tracer-cached/host/usr" in options_of(Path("/usr"))
    assert "loose" in options_of(Path(sys.prefix)).split(",")
    assert "loose" not in options_of(Path(os.environ["TRACER_SHARED"])).split(",")
