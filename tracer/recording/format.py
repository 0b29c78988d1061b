# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of rows on disk: names of files, columns, types and encodings."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from tracer.recording.arrays import numbers

SCHEMA_VERSION = 2
"""Schema 2 added to ``meta.json`` the count of the user's log and the seal; 1 is still read."""
KINDS = ("events", "sends", "tasks")
META_NAME = "meta.json"

SCHEMAS: dict[str, pa.Schema] = {
    "events": pa.schema(
        [
            ("start_ns", pa.int64()),
            ("end_ns", pa.int64()),
            ("kind", pa.uint8()),
            ("point", pa.dictionary(pa.int8(), pa.string())),
            ("depth", pa.uint8()),
            ("cpu", pa.uint16()),
            ("tid", pa.uint32()),
            ("tgid", pa.uint32()),
            ("netns", pa.uint32()),
            ("sock", pa.int32()),
            ("skb", pa.int32()),
            ("token", pa.uint64()),
            ("proto", pa.uint8()),
            ("direction", pa.uint8()),
            ("portid", pa.uint32()),
            ("seq", pa.uint32()),
            ("type", pa.uint16()),
            ("flags", pa.uint16()),
            ("size", pa.uint32()),
            ("ret", pa.int32()),
        ]
    ),
    "sends": pa.schema(
        [
            ("begin_ns", pa.int64()),
            ("end_ns", pa.int64()),
            ("intended_ns", pa.int64()),
            ("tid", pa.uint32()),
            ("tgid", pa.uint32()),
            ("portid", pa.uint32()),
            ("seq", pa.uint32()),
            ("size", pa.uint32()),
            ("token", pa.uint64()),
            ("type", pa.uint16()),
            ("errno", pa.uint16()),
            ("channel", pa.uint8()),
            ("kind", pa.uint8()),
            ("proto", pa.uint8()),
        ]
    ),
    "tasks": pa.schema(
        [
            ("start_ns", pa.int64()),
            ("tid", pa.uint32()),
            ("tgid", pa.uint32()),
            ("ppid", pa.uint32()),
            ("netns", pa.uint32()),
            ("comm", pa.string()),
        ]
    ),
}

# The encoding of columns. Times, sequence numbers, sizes and port ids change by small steps from
# row to row (delta encoding). A token is as good as random (plain). All other columns have
# few different values (dictionary).
DELTA = {"start_ns", "end_ns", "begin_ns", "intended_ns", "seq", "size", "portid"}
PLAIN = {"token"}
SEGMENT_NAME = re.compile(r"(\d{6,})(?:-(\d{6,}))?\.parquet")


def sends_table(entries: np.ndarray[Any, Any]) -> pa.Table:
    """Turn entries of the user side's log (``SEND_DTYPE``) into a table of sends."""
    return pa.table(
        {
            f.name: numbers(entries[f.name].astype(f.type.to_pandas_dtype()))
            for f in SCHEMAS["sends"]
        }
    )


def conform(table: pa.Table, kind: str) -> pa.Table:
    """The table with the columns of its kind, in their order and types.

    Raises ``ValueError`` if a column is missing or unknown.
    """
    schema = SCHEMAS[kind]
    if set(table.column_names) != set(schema.names):
        wrong = sorted(set(table.column_names) ^ set(schema.names))
        raise ValueError(f"{kind}: columns missing or unknown: {', '.join(wrong)}")
    columns = [_convert(table.column(f.name), f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _convert(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if column.type == wanted:
        return column
    if pa.types.is_dictionary(wanted) and pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
        chunks = [
            pa.DictionaryArray.from_arrays(part.indices.cast(wanted.index_type), part.dictionary)
            for part in column.chunks
        ]
        return pa.chunked_array(chunks, wanted)
    if pa.types.is_dictionary(wanted):
        # Plain strings: dictionary_encode() makes indices of 32 bits, so cast these.
        strings = column.cast(wanted.value_type).combine_chunks()
        encoded = strings.dictionary_encode()
        indices = encoded.indices.cast(wanted.index_type)
        return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, encoded.dictionary)])
    return column.cast(wanted)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, with or without dictionary encoding."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
