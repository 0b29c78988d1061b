# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of rows on disk: names of files, columns, types and encodings."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from tracer.event import EXTRA, OPT, RECV, SEND, TASK
from tracer.recording.arrays import numbers

SCHEMA_VERSION = 3
"""Schema 3 keeps the records of system calls; 1 and 2 kept single observations, and are not read.
"""
KINDS = ("send_calls", "recv_calls", "opt_calls", "extras", "sends", "tasks")
#: The kinds whose rows are records of the ring, each with their number in ``bpf/event.h``.
RECORD_KINDS = {"send_calls": SEND, "recv_calls": RECV, "opt_calls": OPT, "extras": EXTRA,
                "tasks": TASK}  # fmt: skip
META_NAME = "meta.json"

_THREAD = [("tid", pa.uint32()), ("tgid", pa.uint32()), ("cpu", pa.uint16())]

# Columns have the names that they have in bpf/event.h, which explains them. `order` is the
# record's running number in the ring over all kinds. A value that `bits` calls invalid is 0.
# Instead of kernel addresses there are small ids, -1 for none: of sk_buffs in `reply_skb` and
# `skb`, of socks in `sock`.
SCHEMAS: dict[str, pa.Schema] = {
    "send_calls": pa.schema(
        [
            ("order", pa.int64()),
            ("enter_ns", pa.int64()),
            ("unicast_ns", pa.int64()),
            ("begin_ns", pa.int64()),
            ("done_ns", pa.int64()),
            ("queued_ns", pa.int64()),
            ("exit_ns", pa.int64()),
            ("reply_skb", pa.int32()),
            ("token", pa.uint64()),
            ("portid", pa.uint32()),
            ("seq", pa.uint32()),
            ("netns", pa.uint32()),
            ("size", pa.uint32()),
            ("ret", pa.int32()),
            ("error", pa.int32()),
            ("buffer", pa.uint32()),
            ("dst", pa.uint32()),
            ("reply_size", pa.uint32()),
            ("reply_error", pa.int32()),
            ("type", pa.uint16()),
            ("flags", pa.uint16()),
            ("reply_type", pa.uint16()),
            ("reply_flags", pa.uint16()),
            *_THREAD,
            ("proto", pa.uint8()),
            ("channel", pa.uint8()),
            ("bits", pa.uint16()),
        ]
    ),
    "recv_calls": pa.schema(
        [
            ("order", pa.int64()),
            ("enter_ns", pa.int64()),
            ("copy_ns", pa.int64()),
            ("copied_ns", pa.int64()),
            ("exit_ns", pa.int64()),
            ("skb", pa.int32()),
            ("portid", pa.uint32()),
            ("netns", pa.uint32()),
            ("size", pa.uint32()),
            ("ret", pa.int32()),
            ("flags", pa.uint32()),
            *_THREAD,
            ("proto", pa.uint8()),
            ("bits", pa.uint16()),
        ]
    ),
    "opt_calls": pa.schema(
        [
            ("order", pa.int64()),
            ("enter_ns", pa.int64()),
            ("nf_ns", pa.int64()),
            ("begin_ns", pa.int64()),
            ("done_ns", pa.int64()),
            ("copy_ns", pa.int64()),
            ("copied_ns", pa.int64()),
            ("left_ns", pa.int64()),
            ("exit_ns", pa.int64()),
            ("token", pa.uint64()),
            ("sock", pa.int32()),
            ("netns", pa.uint32()),
            ("size", pa.uint32()),
            ("ret", pa.int32()),
            ("error", pa.int32()),
            ("optname", pa.uint32()),
            ("pf", pa.uint32()),
            ("copied", pa.uint32()),
            *_THREAD,
            ("point", pa.uint8()),
            ("channel", pa.uint8()),
            ("bits", pa.uint16()),
        ]
    ),
    "extras": pa.schema(
        [
            ("order", pa.int64()),
            ("start_ns", pa.int64()),
            ("end_ns", pa.int64()),
            ("skb", pa.int32()),
            ("token", pa.uint64()),
            ("portid", pa.uint32()),
            ("seq", pa.uint32()),
            ("netns", pa.uint32()),
            ("size", pa.uint32()),
            ("ret", pa.int32()),
            ("about_seq", pa.uint32()),
            ("type", pa.uint16()),
            ("flags", pa.uint16()),
            ("about_type", pa.uint16()),
            ("source", pa.uint16()),
            *_THREAD,
            ("point", pa.uint8()),
            ("proto", pa.uint8()),
            ("channel", pa.uint8()),
            ("bits", pa.uint16()),
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
            ("order", pa.int64()),
            ("start_ns", pa.int64()),
            ("tid", pa.uint32()),
            ("tgid", pa.uint32()),
            ("ppid", pa.uint32()),
            ("netns", pa.uint32()),
            ("comm", pa.string()),
        ]
    ),
}

# The encoding of columns. Times, running and sequence numbers, sizes and port ids change by small
# steps from row to row (delta encoding). A token is as good as random (plain). All other columns
# have few different values (dictionary).
DELTA = {
    *(field.name for schema in SCHEMAS.values() for field in schema if field.name.endswith("_ns")),
    "order", "seq", "size", "portid",
}  # fmt: skip
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
