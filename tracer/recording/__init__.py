# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of a recording on disk, which no other package knows.

A recording is a directory::

    meta.json           what was recorded, how, and whether it ended cleanly
    events/*.parquet    one row per kernel observation
    sends/*.parquet     one row per entry of the user side's log
    tasks/*.parquet     one row for each time that a thread's name was read

While recording, rows go to numbered segments (``000000.parquet``, ...). Each is
written under a temporary name, synced and renamed, so that a kill loses only the rows
since the last segment. At a clean end the segments of a kind are merged into one file,
which is named after the range of segments it replaces (``000000-000041.parquet``). If
the machine stops after that file was renamed and before all segments are removed, the
reader ignores the segments inside the range.
"""

from __future__ import annotations

from tracer.recording.arrays import no_rows, numbers, texts
from tracer.recording.format import KINDS, META_NAME, SCHEMA_VERSION, SCHEMAS, sends_table
from tracer.recording.reader import Recording, open_recording
from tracer.recording.writer import RecordingWriter

__all__ = [
    "KINDS",
    "META_NAME",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "Recording",
    "RecordingWriter",
    "no_rows",
    "numbers",
    "open_recording",
    "sends_table",
    "texts",
]
