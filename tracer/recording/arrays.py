# SPDX-License-Identifier: GPL-2.0-or-later
"""Arrow arrays made without pandas.

``pyarrow.array`` imports pandas, whatever it is given, and so does ``Schema.empty_table``. A
recorder must not pay for that while it traces: the import takes longer than all others together,
and it would take the processor from what is being measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def numbers(values: npt.NDArray[Any]) -> pa.Array:
    """The numbers as an Arrow array of the same type, with memory of its own."""
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values.tobytes())])


def texts(values: Sequence[str]) -> pa.Array:
    """The texts as an Arrow array of strings."""
    encoded = [text.encode() for text in values]
    ends = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32, len(encoded) + 1)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def empty_table(schema: pa.Schema) -> pa.Table:
    """A table of this schema without rows."""
    return pa.Table.from_batches([], schema)
