# SPDX-License-Identifier: GPL-2.0-or-later
"""Arrays that are made without pandas are the same as pyarrow's own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tracer.recording import SCHEMAS, empty_table, numbers, texts


@pytest.mark.parametrize("kind", ["i1", "u1", "<u2", "<i4", "<u4", "<i8", "<u8"])
def test_numbers_keep_type_and_values(kind: str) -> None:
    limits = np.iinfo(kind)
    values = np.array([limits.min, 0, 1, limits.max], kind)
    made = numbers(values)
    made.validate(full=True)
    assert made.equals(pa.array(values))
    assert numbers(values[:0]).equals(pa.array(values[:0]))


def test_a_field_of_records_is_copied() -> None:
    """One record is contiguous memory, so nothing but a copy keeps what it held."""
    records = np.zeros(1, [("a", "<u4"), ("b", "<u8")])
    made = numbers(records["b"])
    records["b"] = 1
    assert made.to_pylist() == [0]
    assert numbers(np.zeros(3, records.dtype)["b"]).to_pylist() == [0, 0, 0]


@pytest.mark.parametrize("values", [[], [""], ["sendmsg", "", "wörker\N{REPLACEMENT CHARACTER}"]])
def test_texts(values: list[str]) -> None:
    made = texts(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.string()))


@pytest.mark.parametrize("kind", SCHEMAS)
def test_no_rows_have_the_columns(kind: str) -> None:
    assert empty_table(SCHEMAS[kind]).equals(SCHEMAS[kind].empty_table())
