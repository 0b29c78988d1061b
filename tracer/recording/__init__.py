# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of a recording on disk, which no other package knows.

A recording is a directory::

    meta.json               what was recorded, how, and whether it ended cleanly
    send_calls/*.parquet    one row per call that sent a netlink message
    recv_calls/*.parquet    one row per call that received from a netlink socket
    opt_calls/*.parquet     one row per system call of a netfilter socket option
    extras/*.parquet        one row per observation that did not fit into the row of its call
    sends/*.parquet         one row per entry of the user side's log
    tasks/*.parquet         one row for each time that a thread's name was read

While recording, rows go to numbered segments (``000000.parquet``, ...). Each is
written under a temporary name, synced and renamed, so that a kill loses only the rows
since the last segment. At a clean end the segments of a kind are merged into one file,
which is named after the range of segments it replaces (``000000-000041.parquet``). If
the machine stops after that file was renamed and before all segments are removed, the
reader ignores the segments inside the range.
"""

from __future__ import annotations

from tracer.recording.arrays import empty_table, numbers, texts
from tracer.recording.format import (
    KINDS,
    META_NAME,
    RECORD_KINDS,
    SCHEMA_VERSION,
    SCHEMAS,
    sends_table,
)
from tracer.recording.reader import Recording, open_recording
from tracer.recording.sums import no_rows, row_sum
from tracer.recording.writer import RecordingWriter

__all__ = [
    "KINDS",
    "META_NAME",
    "RECORD_KINDS",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "Recording",
    "RecordingWriter",
    "empty_table",
    "no_rows",
    "numbers",
    "open_recording",
    "row_sum",
    "sends_table",
    "texts",
]
