# SPDX-License-Identifier: GPL-2.0-or-later
"""``run.exchanges`` as one CSV or Parquet file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tracer.units import printable

if TYPE_CHECKING:
    from tracer.export.window import Part
    from tracer.frames.frames import Frames

META_KEY = b"tracer"
FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001
"""A spreadsheet may execute a text that begins with one of these as a formula;
https://owasp.org/www-community/attacks/CSV_Injection. Control characters are escaped anyway."""


def write_csv(run: Frames | Part, path: Path, *, raw: bool = False) -> None:
    """Write one line per exchange, with the columns of ``run.exchanges``; NA is empty, times ns.

    A thread chooses its own name, so the name may be a formula. Unless ``raw``, a text that
    begins like one gets a ``'`` before it, and control characters are written as escapes.
    Numbers are never changed.
    """
    table = run.exchanges
    texts = table.select_dtypes(exclude=["number", "bool"])
    quoting = csv.QUOTE_MINIMAL
    if not raw:
        table = table.assign(
            **{name: texts[name].map(_harmless, na_action="ignore") for name in texts}
        )
    elif any(texts[name].astype(str).str.contains("\r").any() for name in texts):
        # Until 3.13, Python's writer does not quote a text with a lone carriage return.
        quoting = csv.QUOTE_NONNUMERIC
    with path.open("w", encoding="utf-8", newline="") as file:
        table.to_csv(file, index=False, lineterminator="\n", quoting=quoting)


def _harmless(text: str) -> str:
    text = printable(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def write_parquet(run: Frames | Part, path: Path) -> None:
    """Write one row per exchange; ``meta.json`` goes into the schema's metadata as ``tracer``."""
    table = pa.Table.from_pandas(run.exchanges, preserve_index=False)
    metadata = (table.schema.metadata or {}) | {META_KEY: json.dumps(run.meta).encode()}
    pq.write_table(
        table.replace_schema_metadata(metadata), path, compression="zstd", compression_level=1
    )
