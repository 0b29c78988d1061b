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

from tracer.event import Words, chained
from tracer.recording.format import RECORD_KINDS, SCHEMAS

TEXT_BYTES = 64
"""How many bytes of a text go into the checksum; a thread's name has fewer."""


def row_sum(kind: str, rows: Mapping[str, Any]) -> dict[str, int]:
    """The ``count`` of rows of a kind and their ``checksum``, the sum of their hashes mod 2**64.

    ``rows`` is a frame of the recording, or its columns by name. The order of the rows does not
    matter.
    """
    columns = [np.asarray(rows[name]) for name in SCHEMAS[kind].names]
    count = int(columns[0].size)
    total = chained([word for column in columns for word in _words(column)]) if count else 0
    return {"count": count, "checksum": int(np.sum(total, dtype=np.uint64))}


def no_rows() -> dict[str, dict[str, int]]:
    """``rows`` of a recording that holds no record."""
    return {kind: {"count": 0, "checksum": 0} for kind in RECORD_KINDS}


def _words(column: npt.NDArray[Any]) -> list[Words]:
    """The column as 64-bit words: one for a number, ``TEXT_BYTES // 8`` for a text."""
    if column.dtype.kind == "u":
        return [column]
    if column.dtype.kind == "i":
        return [column.astype(np.int64).view(np.uint64)]
    texts = np.array([str(text).encode()[:TEXT_BYTES] for text in column], f"S{TEXT_BYTES}")
    return list(texts.view("<u8").reshape(column.size, -1).T)
