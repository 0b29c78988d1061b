# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording of all channels that was made by hand: a copy to tamper with, and its rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from channels_builder import record_all
from recording_copies import Copy

from tracer.recording import KINDS, open_recording


@pytest.fixture(scope="session")
def all_channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_all(tmp_path_factory.mktemp("made") / "all-channels")


@pytest.fixture
def copy(tmp_path: Path, all_channels: Path) -> Copy:
    return Copy(tmp_path, all_channels)


@pytest.fixture(scope="session")
def rows(all_channels: Path) -> Mapping[str, pd.DataFrame]:
    """The rows of the recording by kind; not to be changed."""
    opened = open_recording(all_channels)
    return {kind: getattr(opened, kind) for kind in KINDS}


@pytest.fixture(scope="session")
def sends(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return rows["sends"]
