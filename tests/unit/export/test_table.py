# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of exchanges, read back."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from recording_copies import ALL_CHANNELS

import tracer
from tracer.export.table import META_KEY, write_csv, write_parquet


def test_parquet_gives_back_the_frame(tmp_path: Path) -> None:
    run = tracer.load(ALL_CHANNELS)
    write_parquet(run, tmp_path / "a.parquet")
    found = pd.read_parquet(tmp_path / "a.parquet")
    assert found.columns.tolist() == run.exchanges.columns.tolist()
    pd.testing.assert_frame_equal(found, run.exchanges, check_dtype=False, check_categorical=False)
    assert found["token"].dtype == "uint64"
    meta = pq.read_schema(tmp_path / "a.parquet").metadata
    assert json.loads(meta[META_KEY]) == run.meta


def test_csv_gives_back_the_values(tmp_path: Path) -> None:
    run = tracer.load(ALL_CHANNELS)
    write_csv(run, tmp_path / "a.csv")
    found = pd.read_csv(tmp_path / "a.csv", dtype={"token": "uint64"})
    assert found.columns.tolist() == run.exchanges.columns.tolist()
    assert len(found) == len(run.exchanges)
    for column in ("token", "start_ns", "total_ns", "queue_ns", "exit_ns"):
        expected = run.exchanges[column]
        assert (found[column].isna() == expected.isna()).all()
        assert (found[column].dropna() == expected.dropna().astype(found[column].dtype)).all()
    assert found["status"].tolist() == run.exchanges["status"].tolist()
