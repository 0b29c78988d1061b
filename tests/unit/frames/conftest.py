# SPDX-License-Identifier: GPL-2.0-or-later
"""The checked-in recording: a copy to tamper with, and what the original holds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from recording_copies import ALL_CHANNELS, Copy

import tracer


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.fixture(scope="session")
def events() -> pd.DataFrame:
    return tracer.load(ALL_CHANNELS).events


@pytest.fixture(scope="session")
def sends() -> pd.DataFrame:
    return tracer.load(ALL_CHANNELS).sends
