# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns records of the ring into the tables of a recording.

Kernel addresses go no further than this: each address of an sk_buff or a sock is replaced by a
small number (id), the same one in the whole recording.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracer.event import (
    LAYOUTS,
    O_BEGUN,
    O_COPIED,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    POINTS_OF_KIND,
    R_COPIED,
    R_COPY,
    RECORD_POINTS,
    S_BEGUN,
    S_DONE,
    S_MODULE,
    S_QUEUED,
    WORDS,
    NotUnderstood,
    Words,
    chained,
    words_of,
)
from tracer.recording import (
    RECORD_KINDS,
    SCHEMAS,
    empty_table,
    no_rows,
    numbers,
    row_sum,
    texts,
)

#: By kind and bit: the columns that hold anything in a record without that bit.
_NEED: dict[str, dict[int, tuple[str, ...]]] = {
    "send_calls": {
        S_BEGUN: ("begin_ns",),
        S_DONE: ("done_ns",),
        S_QUEUED: ("queued_ns", "reply_skb", "reply_size", "reply_error", "reply_type",
                   "reply_flags"),
        S_MODULE: ("token", "error", "channel"),
    },
    "recv_calls": {R_COPY: ("copy_ns", "skb", "size"), R_COPIED: ("copied_ns",)},
    "opt_calls": {
        O_BEGUN: ("begin_ns",),
        O_DONE: ("done_ns",),
        O_COPY: ("copy_ns", "copied"),
        O_COPIED: ("copied_ns",),
        O_LEFT: ("left_ns",),
        O_MODULE: ("token", "error", "channel"),
    },
    "tasks": {},
}  # fmt: skip
_HANDLED, _QUEUED = RECORD_POINTS.index("handled"), RECORD_POINTS.index("queued")


def _kind_of() -> npt.NDArray[np.uint8]:
    """The kind by ``point << 8 | kind``; 0 for pairs that do not go together."""
    table = np.zeros(1 << 16, np.uint8)
    for kind, points in POINTS_OF_KIND.items():
        table[[point << 8 | kind for point in points]] = kind
    return table


_KIND_OF = _kind_of()
#: By kind: the name and type of each column.
_COLUMNS = {name: [(field.name, field.type) for field in SCHEMAS[name]] for name in RECORD_KINDS}
#: By kind and field: its type, and its offset in bytes.
_PLACES: dict[str, dict[str, tuple[np.dtype[Any], int]]] = {
    name: {field: place[:2] for field, place in (LAYOUTS[kind].fields or {}).items()}
    for name, kind in RECORD_KINDS.items()
}


class AddressIds:
    """Numbers 64-bit keys 0, 1, 2, … in the order in which they first appear; key 0 gets -1."""

    def __init__(self) -> None:
        self._known = {0: -1}

    def __call__(self, keys: Words) -> npt.NDArray[np.int32]:
        """The ids of ``keys`` (same shape, int32)."""
        # A block has few different addresses, because the kernel soon uses freed memory again.
        encoded = numbers(keys).dictionary_encode()
        codes = np.frombuffer(encoded.indices.buffers()[1], np.int32, keys.size)
        different = np.frombuffer(
            encoded.dictionary.buffers()[1], np.uint64, len(encoded.dictionary)
        )
        known = self._known
        ids = [known.setdefault(key, len(known) - 1) for key in different.tolist()]
        return np.asarray(np.array(ids, np.int32)[codes])


class Decoder:
    """Turns blocks of ring records into tables, keeping ids stable across blocks.

    odd
        How many records were left out, because this version does not know their kind or point.
    decoded
        By name of `RECORD_POINTS`: the ``count`` of the other records, and their ``checksum``,
        which is the sum of :func:`tracer.event.checksums` modulo 2**64.
    rows
        By kind: ``count`` and ``checksum`` (:func:`tracer.recording.row_sum`) of the rows that
        the tables hold.
    """

    def __init__(self) -> None:
        self.odd = NotUnderstood()
        self.decoded = {point: {"count": 0, "checksum": 0} for point in RECORD_POINTS}
        self.rows = no_rows()
        self._order = 0
        self._skbs = AddressIds()
        self._socks = AddressIds()

    def __call__(self, records: npt.NDArray[Any]) -> dict[str, pa.Table]:
        """The tables of one block of records (see :func:`tracer.event.words_of`), by kind.

        Every kind of `RECORD_KINDS` is there, also if there is no row of it. Raises
        ``ValueError`` for records of another type.
        """
        words = words_of(records)
        order = np.arange(self._order, self._order + len(words))
        self._order += len(words)
        pair = (words[:, 15] >> np.uint64(16)).astype(np.uint16)
        kinds = _KIND_OF[pair]
        counts = np.bincount(kinds, minlength=len(RECORD_KINDS) + 1).tolist()
        if counts[0]:
            first = int(pair[kinds == 0][0])
            self.odd.add(counts[0], f"kind {first & 0xFF}, point {first >> 8}")
        tables = {}
        for name, kind in RECORD_KINDS.items():
            if not counts[kind]:
                tables[name] = empty_table(SCHEMAS[name])
            elif counts[kind] == len(words):
                tables[name] = self._table(name, words, order)
            else:
                here = np.flatnonzero(kinds == kind)
                tables[name] = self._table(name, words.take(here, axis=0), order[here])
        return tables

    def _table(self, name: str, words: Words, order: npt.NDArray[np.int64]) -> pa.Table:
        """The rows of one kind, whose records ``words`` are."""
        # A copy, since the columns refer to it; with the words of one place side by side, numpy is
        # several times as fast.
        words = words.T.copy()
        covered = [*words[: WORDS[RECORD_KINDS[name]]], words[14], words[15]]
        self._count(name, words, chained(covered))
        valid = _valid(name, words)
        columns = {"order": order} | {
            column: self._column(name, words, column, valid)
            for column, _type in _COLUMNS[name]
            if column != "order"
        }
        rows = row_sum(name, columns)
        self.rows[name] = _added(self.rows[name], rows["count"], rows["checksum"])
        arrays = [_array(columns[column], kind) for column, kind in _COLUMNS[name]]
        return pa.Table.from_arrays(arrays, schema=SCHEMAS[name])

    def _count(self, name: str, words: Words, sums: Words) -> None:
        """Add the records of one kind, with these checksums, to ``decoded``."""
        codes = POINTS_OF_KIND[RECORD_KINDS[name]]
        for code in codes:
            here = sums if len(codes) == 1 else sums[_field(name, words, "point") == code]
            point = RECORD_POINTS[code]
            self.decoded[point] = _added(self.decoded[point], here.size, int(here.sum()))

    def _column(
        self, name: str, words: Words, column: str, valid: dict[str, npt.NDArray[np.bool_]]
    ) -> npt.NDArray[Any]:
        """One column of a kind's table; 0 (or the id -1) where the record's value is not valid."""
        if column == "comm":
            return _names(words)
        # Of an extra record, the same word is an address or a token.
        values = _field(name, words, "skb" if name == "extras" and column == "token" else column)
        if column in valid:
            values = np.where(valid[column], values, values.dtype.type(0))
        if column in ("reply_skb", "skb"):
            return self._skbs(values)
        if column == "sock":
            return self._socks(values)
        return values.view(np.int64) if column.endswith("_ns") else np.ascontiguousarray(values)


def _valid(name: str, words: Words) -> dict[str, npt.NDArray[np.bool_]]:
    """By column of a kind: where it is valid. Columns that are valid everywhere are left out."""
    if name == "extras":
        point = _field(name, words, "point")
        return {"skb": point == _QUEUED, "token": point == _HANDLED}
    bits = _field(name, words, "bits")
    found = {}
    for bit, columns in _NEED[name].items():
        here = (bits & np.uint16(bit)) != 0
        if not here.all():
            found.update(dict.fromkeys(columns, here))
    return found


def _field(name: str, words: Words, field: str) -> npt.NDArray[Any]:
    """A field of the records of one kind, whose ``words`` stand in rows by place."""
    dtype, offset = _PLACES[name][field]
    values: npt.NDArray[Any] = words[offset // 8].view(dtype)
    within, every = offset % 8 // dtype.itemsize, 8 // dtype.itemsize
    return values[within::every]


def _names(words: Words) -> npt.NDArray[np.object_]:
    """The names of threads; whatever stands behind a name's end is no part of it."""
    texts = np.ascontiguousarray(words[1:3].T).view("S16").reshape(-1).tolist()
    return np.array([text.split(b"\0")[0].decode(errors="replace") for text in texts], object)


def _array(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """The values as an array of pyarrow's, numbers without a copy."""
    if values.dtype == object:
        return texts(values.tolist())
    # As pa.array() does, but that takes as long for a column of a block as all else does.
    return pa.Array.from_buffers(kind, values.size, [None, pa.py_buffer(values)])


def _added(found: dict[str, int], count: int, checksum: int) -> dict[str, int]:
    return {
        "count": found["count"] + count,
        "checksum": (found["checksum"] + checksum) % 2**64,
    }
