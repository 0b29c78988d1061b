# SPDX-License-Identifier: GPL-2.0-or-later
"""Small recordings, written row by row, for the tests of how they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracer.recording import SCHEMAS, RecordingWriter

META = {"command": ["true"], "kernel": "6.1.0"}


def calls(rows: int, first: int = 0, kind: str = "send_calls", point: int = 3) -> pa.Table:
    """Rows of a kind that differ from each other and whose values can be told from `first`.

    ``point`` is that of all rows, if rows of the kind have one.
    """
    numbers = np.arange(first, first + rows)
    columns: dict[str, Any] = {
        f.name: pa.array(numbers % 251, type=f.type) for f in SCHEMAS[kind] if f.name != "comm"
    }
    if "enter_ns" in columns:
        columns["enter_ns"] = pa.array(numbers * 1000)
    if "token" in columns:
        columns["token"] = pa.array(numbers.astype(np.uint64) + np.uint64(2**63))
    if "seq" in columns:
        columns["seq"] = pa.array((numbers + 2**31).astype(np.uint32))
    if "point" in columns:
        columns["point"] = pa.array(np.full(rows, point, np.uint8))
    return pa.table(columns)


def tasks(rows: int) -> pa.Table:
    numbers = np.arange(rows)
    columns = {f.name: pa.array(numbers, type=f.type) for f in SCHEMAS["tasks"] if f.name != "comm"}
    return pa.table(columns | {"comm": pa.array([f"task{n}" for n in numbers])})


def write(path: Path, segments: tuple[int, ...] = (23, 101, 7), close: bool = True) -> None:
    writer = RecordingWriter(path, META)
    first = 0
    for rows in segments:
        writer.append(send_calls=calls(rows, first))
        writer.flush()
        first += rows
    if close:
        writer.close({"stats": {"before": {}}})


def rewrite(file: Path, change: Any) -> None:
    table = pq.read_table(file)
    pq.write_table(change(table), file)


def files(path: Path, kind: str = "send_calls") -> list[str]:
    return sorted(f.name for f in (path / kind).iterdir())
