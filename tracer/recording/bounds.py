# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits on the sizes in a recording, checked before its files are decoded.

A few bytes of Parquet can stand for billions of rows, and a few kilobytes of JSON for
thousands of nested objects. What our recorder writes is far below these limits: some 8 bytes
a row, and some kilobytes of meta.json.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tracer.recording.files import open_regular
from tracer.recording.format import SCHEMAS
from tracer.recording.pages import decompressed_bytes

META_BYTES = 16 << 20
"""The largest ``meta.json`` in bytes; parsed, it may take some 25 times as much memory."""
FREE_ROWS = 2_000_000
ROWS_PER_BYTE = 4
"""All files of a kind together hold at most ``FREE_ROWS + ROWS_PER_BYTE * bytes on disk`` rows."""
FOOTER_BYTES = 16 << 20
"""The largest footer of a file, in bytes."""
ROW_BYTES, FREE_BYTES = 256, 1 << 20
"""The pages of a file have at most ``FREE_BYTES + ROW_BYTES * rows`` bytes, decompressed."""
TEXT_BYTES = 64
"""The longest name of a thread, in bytes; the kernel's have 16."""
_CONTAINERS = 10_000
_TEXTS = ["comm"]


class TooLargeError(ValueError):
    """A file is larger than a limit of this module allows."""


def read_meta(path: Path) -> bytes:
    """The content of ``meta.json``.

    Raises `TooLargeError`, or ``OSError`` if it is no regular file.
    """
    with open_regular(path) as file:
        content = file.read(META_BYTES + 1)
    if len(content) > META_BYTES:
        raise TooLargeError(f"it is larger than {META_BYTES >> 20} MiB")
    return content


class Budget:
    """Counts how many rows the files of one kind may still hold, as they are opened in turn."""

    def __init__(self) -> None:
        self._rows = FREE_ROWS

    def open(self, file: BinaryIO) -> pq.ParquetFile:
        """Open a Parquet file; raises `TooLargeError` if its rows or pages exceed the limits."""
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        if len(tail) == 8 and struct.unpack("<I", tail[:4])[0] > FOOTER_BYTES:
            raise TooLargeError(f"its footer is larger than {FOOTER_BYTES >> 20} MiB")
        # By its path Arrow reads it without Python. Of a Python file one of its threads may be
        # left waiting for Python when that exits, which ends the process with SIGABRT:
        # https://github.com/apache/arrow/issues/50482
        source = f"/proc/self/fd/{file.fileno()}"
        with pq.ParquetFile(source, thrift_container_size_limit=_CONTAINERS) as parquet:
            footer = parquet.metadata
        _check_pages(file, footer)
        self._rows += ROWS_PER_BYTE * size - footer.num_rows
        if self._rows < 0:
            raise TooLargeError(f"{footer.num_rows} rows in {size} bytes are too many")
        return pq.ParquetFile(
            source,
            metadata=footer,
            # Keep names dictionary-encoded: decoded, one long name could be copied into each
            # of a million rows.
            read_dictionary=[name for name in _TEXTS if name in footer.schema.names],
            page_checksum_verification=True,
        )


def _check_pages(file: BinaryIO, footer: Any) -> None:
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    if sum(group.num_rows for group in groups) != footer.num_rows:
        raise TooLargeError("its row groups have other numbers of rows than the file")
    pages = sum(
        decompressed_bytes(file, group.column(number))
        for group in groups
        for number in range(group.num_columns)
    )
    if pages > FREE_BYTES + ROW_BYTES * footer.num_rows:
        raise TooLargeError(f"{pages} bytes for {footer.num_rows} rows are too many")


def check_values(table: pa.Table, kind: str) -> None:
    """Raise ``ValueError`` if a name is too long or a value is missing."""
    # Late: a recorder imports this package too, and takes nothing of it to read with.
    import pyarrow.compute as pc

    for field in SCHEMAS[kind]:
        column = table.column(field.name)
        if column.null_count:
            raise ValueError(f"column {field.name} has rows without a value")
        if field.name in _TEXTS:
            texts = [pc.binary_length(chunk.dictionary) for chunk in column.chunks]
            if any(len(sizes) and pc.max(sizes).as_py() > TEXT_BYTES for sizes in texts):
                raise TooLargeError(f"a {field.name} is longer than {TEXT_BYTES} bytes")
