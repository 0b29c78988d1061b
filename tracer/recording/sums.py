# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts and checksums of the rows that a recording keeps of the ring's records.

The recorder notes them in ``meta.json`` as ``rows``. Whoever opens the recording computes them
again from what is on the disk, and so finds rows that are missing, doubled, changed, or that have
exchanged their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tracer.event import SUM_FACTOR, SUM_SEED, chained
from tracer.recording.format import RECORD_KINDS, SCHEMAS

_COLUMNS = {kind: SCHEMAS[kind].names for kind in RECORD_KINDS}


def row_sum(kind: str, rows: Mapping[str, Any]) -> dict[str, int]:
    """The ``count`` of rows of a kind and their ``checksum``, the sum of their hashes mod 2**64.

    ``rows`` is a frame of the recording, or its columns by name. The order of the rows does not
    matter.
    """
    columns = [_words(np.asarray(rows[name])) for name in _COLUMNS[kind]]
    hashes = chained(columns)
    return {"count": int(columns[0].size), "checksum": int(hashes.sum(dtype=np.uint64))}


def no_rows() -> dict[str, dict[str, int]]:
    """``rows`` of a recording that holds no record."""
    return {kind: {"count": 0, "checksum": 0} for kind in RECORD_KINDS}


def _words(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A word of at most 64 bits for each value; that of a text is its own hash."""
    if column.dtype.kind == "i":
        return column.astype(np.int64).view(np.uint64)
    if column.dtype.kind == "u":
        return column
    known = {text: _text_word(text) for text in set(column.tolist())}
    return np.array([known[text] for text in column.tolist()], np.uint64)


def _text_word(text: str) -> int:
    """The 64-bit FNV-1a hash of the text's bytes."""
    total = SUM_SEED
    for byte in text.encode():
        total = (total ^ byte) * SUM_FACTOR % 2**64
    return total
