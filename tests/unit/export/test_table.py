# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of exchanges, read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from recording_copies import ALL_CHANNELS, Copy

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


def named(directory: Path, name: str) -> tracer.run.Run:
    """The recording, its threads called ``name``."""
    copy = Copy(directory)
    copy.rows("tasks", lambda frame: frame.assign(comm=name))
    return copy.load()


def cells(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1", "'＝1"),  # noqa: RUF001
        ("\t=1", r"\t=1"), ("\r=1", r"\r=1"), ("\n=1", r"\n=1"), ("a\rb", r"a\rb"),
    ],
)  # fmt: skip
def test_a_thread_named_like_a_formula_is_made_harmless(
    tmp_path: Path, name: str, told: str
) -> None:
    run = named(tmp_path, name)
    write_csv(run, tmp_path / "a.csv")
    assert {row["comm"] for row in cells(tmp_path / "a.csv")} == {told}
    write_csv(run, tmp_path / "raw.csv", raw=True)
    assert {row["comm"] for row in cells(tmp_path / "raw.csv")} == {name}


def test_a_formula_and_its_harmless_form_may_both_be_names(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.rows("tasks", lambda frame: frame.assign(comm=["=1", "'=1"] * (len(frame) // 2)))
    write_csv(copy.load(), tmp_path / "a.csv")
    assert {row["comm"] for row in cells(tmp_path / "a.csv")} == {"'=1"}


def test_other_names_and_numbers_stay_as_they_are(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.rows("tasks", lambda frame: frame.assign(comm="a=1"))
    copy.rows("send_calls", lambda frame: frame.assign(ret=-22))
    run = copy.load()
    run.exchanges["reply_bytes"] = -7
    for raw in (False, True):
        write_csv(run, tmp_path / "a.csv", raw=raw)
        assert {row["comm"] for row in cells(tmp_path / "a.csv")} == {"a=1"}
        assert {row["reply_bytes"] for row in cells(tmp_path / "a.csv")} == {"-7"}
