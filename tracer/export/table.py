# SPDX-License-Identifier: GPL-2.0-or-later
"""``run.exchanges`` as one CSV or Parquet file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from tracer.frames import Run

META_KEY = b"tracer"


def write_csv(run: Run, path: Path) -> None:
    """One line per exchange under a header of docs/frames.md's columns; NA is empty, times ns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        run.exchanges.to_csv(file, index=False, lineterminator="\n")


def write_parquet(run: Run, path: Path) -> None:
    """One row per exchange; the recording's ``meta.json`` is in the schema's key ``tracer``."""
    table = pa.Table.from_pandas(run.exchanges, preserve_index=False)
    metadata = (table.schema.metadata or {}) | {META_KEY: json.dumps(run.meta).encode()}
    pq.write_table(
        table.replace_schema_metadata(metadata), path, compression="zstd", compression_level=1
    )
