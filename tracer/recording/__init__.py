# SPDX-License-Identifier: GPL-2.0-or-later
"""The only place that knows what a recording looks like on disk.

A recording is a directory::

    meta.json           what was recorded, how, and whether it ended cleanly
    events/*.parquet    one row per kernel observation
    sends/*.parquet     one row per entry of the user side's log
    tasks/*.parquet     one row per task seen

While recording, rows go to numbered segments (``000000.parquet``, ...), each
written under a temporary name, synced and renamed, so a kill costs the open
segment only. A clean end merges the segments of a kind into one file named
after the range it replaces (``000000-000041.parquet``); should the machine
stop between that rename and the removal of the segments, the reader ignores
the segments inside the range.
"""

from __future__ import annotations

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
    "open_recording",
    "sends_table",
]
