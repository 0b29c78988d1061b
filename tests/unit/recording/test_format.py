# SPDX-License-Identifier: GPL-2.0-or-later
"""How rows look on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from recording_builder import META

from tracer.recording import SCHEMAS, RecordingWriter, open_recording, sends_table


def test_the_send_log_becomes_the_sends_table(tmp_path: Path) -> None:
    dtype = np.dtype(
        [(f.name, "<u8" if f.type == pa.int64() else f.type.to_pandas_dtype())
         for f in SCHEMAS["sends"]] + [("pad", "u1")]
    )  # fmt: skip
    entries = np.zeros(23, dtype)
    entries["begin_ns"] = 10**15 + np.arange(23)
    writer = RecordingWriter(tmp_path / "run", META)
    writer.append(sends=sends_table(entries))
    writer.close({})
    assert open_recording(tmp_path / "run").sends["begin_ns"].tolist() == [
        10**15 + n for n in range(23)
    ]
