# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of the trace-event format, made column by column in blocks of lines.

Arrow's kernels join the texts of a whole column at once: a Python loop over the slices takes ten
times as long. Only one block is in memory as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tracer.correlate.columns import NONE
from tracer.export.tracks import Ints, Track

#: Lines that are made at once: some 8 MB of text. Twice or half as many take the same time each.
BLOCK = 1 << 15

_FRACTIONS = [f".{ns:03d}" for ns in range(1000)]
_BYTES = np.array([f"{byte:02x}" for byte in range(256)], "S2")


@dataclass(frozen=True)
class Details:
    """The columns of a frame that a viewer shows as a slice's arguments, by name."""

    columns: dict[str, pa.Array]

    @classmethod
    def of(cls, frame: pd.DataFrame, names: tuple[str, ...]) -> Details:
        """The columns ``names`` of ``frame``."""
        return cls({name: pa.array(frame[name]) for name in names})

    def text(self, rows: Ints) -> pa.Array:
        """``,"args":{…}`` of each row, without what is absent or zero; null if nothing is left."""
        index = pa.array(rows)
        told = [_told(name, column.take(index)) for name, column in self.columns.items()]
        some = reduce(pc.or_, [pc.is_valid(text) for text in told])
        # Arrow (26.0) leaves out the row if there is nothing to join in it, so there is the filler.
        filler = pc.if_else(some, None, "")
        every = pc.binary_join_element_wise(*told, filler, ",", null_handling="skip")
        return pc.binary_join_element_wise(pc.if_else(some, ',"args":{', None), every, "}", "")


@dataclass(frozen=True)
class Slices:
    """Slices in the order of the file, a column for each of their properties.

    ``track`` and ``label`` are positions in ``tracks`` and in ``labels``, which are pairs of
    category and name. ``row`` counts through the rows of all ``details``, NONE: no arguments.
    """

    track: Ints
    start: Ints
    end: Ints
    label: Ints
    row: Ints
    tracks: list[Track]
    labels: list[tuple[str, str]]
    details: list[tuple[int, Details]]
    """For each frame its number of rows, and the columns."""

    def text(self) -> Iterator[pa.Buffer]:
        """The lines of the slices, each with a comma at its end."""
        heads = pa.array(
            [f'{{"ph":"X","pid":{t.pid},"tid":{t.tid},"ts":' for t in self.tracks], pa.string()
        )
        tails = pa.array(
            [f',"cat":"{category}","name":{json.dumps(name)}' for category, name in self.labels],
            pa.string(),
        )
        for first in range(0, self.start.size, BLOCK):
            here = slice(first, first + BLOCK)
            yield _joined(
                heads.take(pa.array(self.track[here])),
                *_microseconds(self.start[here], ',"dur":'),
                *_microseconds(self.end[here] - self.start[here]),
                tails.take(pa.array(self.label[here])),
                self._arguments(self.row[here]),
                "},\n",
            )

    def _arguments(self, row: Ints) -> pa.Array:
        """The text of the arguments of each row, null where there are none."""
        found = [pa.array([], pa.string())]
        position = np.full(row.size, NONE, np.int64)
        begin = done = 0
        for rows, details in self.details:
            mine = (row >= begin) & (row < begin + rows)
            count = int(mine.sum())
            if count:
                found.append(details.text(row[mine] - begin))
                position[mine] = np.arange(done, done + count)
            begin, done = begin + rows, done + count
        return pa.concat_arrays(found).take(pa.array(position, mask=position == NONE))


@dataclass(frozen=True)
class Flows:
    """The points of flows in the order of the file: a column for each of their properties.

    ``phase`` is ``s`` for the start of a flow, ``t`` for a step, ``f`` for the finish. ``track``
    is the position in ``tracks``.
    """

    phase: npt.NDArray[np.str_]
    number: Ints
    track: Ints
    at: Ints
    tracks: list[Track]

    def text(self) -> Iterator[pa.Buffer]:
        """The lines of the points, each with a comma at its end."""
        heads = pa.array([f',"pid":{t.pid},"tid":{t.tid},"ts":' for t in self.tracks], pa.string())
        for first in range(0, self.at.size, BLOCK):
            here = slice(first, first + BLOCK)
            phase = self.phase[here]
            yield _joined(
                '{"ph":"',
                pa.array(phase, pa.string()),
                '","id":',
                pc.cast(pa.array(self.number[here]), pa.string()),
                heads.take(pa.array(self.track[here])),
                *_microseconds(self.at[here], ',"cat":"flow","name":"message"'),
                pa.array(np.where(phase == "f", ',"bp":"e"},\n', "},\n"), pa.string()),
            )


def head(about: dict[str, str]) -> str:
    """The beginning of a trace, up to its first line."""
    return f'{{"displayTimeUnit":"ns","otherData":{_compact(about)},"traceEvents":[\n'


def tail(metadata: Iterator[tuple[str, int, int, object]]) -> str:
    """The end of a trace: the lines of the metadata as (what, pid, tid, value)."""
    return ",\n".join(_metadata(*entry) for entry in metadata) + "\n]}\n"


def _metadata(what: str, pid: int, tid: int, value: object) -> str:
    key = "sort_index" if what.endswith("_sort_index") else "name"
    return _compact({"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {key: value}})


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _joined(*columns: pa.Array | str) -> pa.Buffer:
    """The text of all rows, where each row is that of its columns one after the other."""
    lines = pc.binary_join_element_wise(*columns, "", null_handling="replace", null_replacement="")
    whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    return pc.binary_join(whole, "")[0].as_buffer()


def _microseconds(ns: Ints, then: str = "") -> tuple[pa.Array, pa.Array]:
    """Microseconds with three decimals as two columns of text, the second followed by ``then``.

    No nanosecond is lost.
    """
    whole, fraction = np.divmod(ns, 1000)
    fractions = pa.array([text + then for text in _FRACTIONS])
    return pc.cast(pa.array(whole), pa.string()), fractions.take(pa.array(fraction))


def _told(name: str, values: pa.Array) -> pa.Array:
    """``"name":value`` of each row, null where the value is absent, zero or empty.

    Most values occur often, so the text of each is made once.
    """
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    texts = pc.binary_join_element_wise(f'"{name}":', _json(name, values.dictionary), "")
    return texts.take(values.indices)


def _json(name: str, values: pa.Array) -> pa.Array:
    """The values as JSON, null for zero and for the empty text.

    Tokens become hexadecimal text, because a viewer's numbers have only 53 bits.
    """
    if not pa.types.is_integer(values.type):
        texts = [json.dumps(text) if text else None for text in values.to_pylist()]
        return pa.array(texts, pa.string())
    texts = _hexadecimal(values) if name == "token" else pc.cast(values, pa.string())
    return pc.if_else(pc.equal(values, pa.scalar(0, values.type)), None, texts)


def _hexadecimal(values: pa.Array) -> pa.Array:
    """``"0x"`` and 16 digits, in quotes."""
    digits = _BYTES[values.to_numpy().astype(">u8").view(np.uint8)]
    fixed = pa.Array.from_buffers(pa.binary(16), len(values), [None, pa.py_buffer(digits)])
    return pc.binary_join_element_wise('"0x', pc.cast(fixed, pa.string()), '"', "")
