# SPDX-License-Identifier: GPL-2.0-or-later
"""Sums of rows: what changes them, and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from recording_builder import calls, tasks

from tracer.recording import RECORD_KINDS, SCHEMAS, no_rows, row_sum


def rows(kind: str, count: int = 23) -> pd.DataFrame:
    table = tasks(count) if kind == "tasks" else calls(count, kind=kind)
    return table.to_pandas()


def naive(kind: str, frame: pd.DataFrame) -> int:
    """The same in plain Python, from the words of the documentation."""
    total = 0
    for row in frame.to_dict("records"):
        found = 0xCBF29CE484222325
        for name in SCHEMAS[kind].names:
            found = (found ^ word(row[name])) * 0x100000001B3 % 2**64
        total += mixed(found)
    return total % 2**64


def mixed(found: int) -> int:
    found = (found ^ found >> 33) * 0xFF51AFD7ED558CCD % 2**64
    return found ^ found >> 33


def word(value: Any) -> int:
    if not isinstance(value, str):
        return int(value) % 2**64
    found = 0xCBF29CE484222325
    for byte in value.encode():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found


@pytest.mark.parametrize("kind", RECORD_KINDS)
def test_against_a_loop(kind: str) -> None:
    frame = rows(kind)
    if "ret" in frame:
        frame["ret"] = -np.arange(23, dtype=np.int32)
    assert row_sum(kind, frame) == {"count": 23, "checksum": naive(kind, frame)}


@pytest.mark.parametrize("kind", RECORD_KINDS)
def test_every_column_counts(kind: str) -> None:
    whole = row_sum(kind, rows(kind))
    for name in SCHEMAS[kind].names:
        changed = rows(kind)
        changed.loc[7, name] = "other" if name == "comm" else changed.loc[7, name] ^ 1
        assert row_sum(kind, changed) != whole, name


@pytest.mark.parametrize("kind", RECORD_KINDS)
def test_values_that_two_rows_exchanged_are_noticed(kind: str) -> None:
    """The sums of the columns stay what they were."""
    whole = row_sum(kind, rows(kind))
    for name in SCHEMAS[kind].names:
        changed = rows(kind)
        if changed.loc[7, name] == changed.loc[8, name]:
            continue
        changed.loc[[7, 8], name] = changed.loc[[8, 7], name].to_numpy()
        assert row_sum(kind, changed) != whole, name


@pytest.mark.parametrize("kind", RECORD_KINDS)
def test_the_order_does_not_count_but_a_row_that_is_missing_does(kind: str) -> None:
    frame = rows(kind)
    mixed = frame.sample(frac=1, random_state=1)
    assert row_sum(kind, mixed) == row_sum(kind, frame)
    assert row_sum(kind, frame.drop(index=7)) != row_sum(kind, frame)
    twice = pd.concat([frame.drop(index=7), frame.iloc[8:9]])
    assert twice.shape == frame.shape
    assert row_sum(kind, twice)["checksum"] != row_sum(kind, frame)["checksum"]


def test_no_rows_have_the_sum_of_no_rows() -> None:
    assert {kind: row_sum(kind, rows(kind, 0)) for kind in RECORD_KINDS} == no_rows()
