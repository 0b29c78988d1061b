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

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tracer.errors import TracerError
from tracer.event import POINTS

SCHEMA_VERSION = 1
KINDS = ("events", "sends", "tasks")
META_NAME = "meta.json"
FLUSH_ROWS = 1_000_000
"""A segment is written at the latest when so many rows of its kind are buffered."""
ROW_GROUP_ROWS = 1 << 18
"""Rows held in memory at a time by the merge."""

SCHEMAS: dict[str, pa.Schema] = {
    "events": pa.schema(
        [
            ("start_ns", pa.int64()),
            ("end_ns", pa.int64()),
            ("kind", pa.uint8()),
            ("point", pa.dictionary(pa.int8(), pa.string())),
            ("depth", pa.uint8()),
            ("cpu", pa.uint16()),
            ("tid", pa.uint32()),
            ("tgid", pa.uint32()),
            ("netns", pa.uint32()),
            ("sock", pa.int32()),
            ("skb", pa.int32()),
            ("token", pa.uint64()),
            ("proto", pa.uint8()),
            ("direction", pa.uint8()),
            ("portid", pa.uint32()),
            ("seq", pa.uint32()),
            ("type", pa.uint16()),
            ("flags", pa.uint16()),
            ("size", pa.uint32()),
            ("ret", pa.int32()),
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
            ("start_ns", pa.int64()),
            ("tid", pa.uint32()),
            ("tgid", pa.uint32()),
            ("ppid", pa.uint32()),
            ("netns", pa.uint32()),
            ("comm", pa.string()),
        ]
    ),
}

# Times, sequence numbers, sizes and port ids grow or repeat in small steps;
# everything else is a small set of values, or (the token) noise.
_DELTA = {"start_ns", "end_ns", "begin_ns", "intended_ns", "seq", "size", "portid"}
_PLAIN = {"token"}
_SEGMENT_NAME = re.compile(r"(\d{6,})(?:-(\d{6,}))?\.parquet")


def sends_table(entries: np.ndarray[Any, Any]) -> pa.Table:
    """Turn entries of the user side's log (``SEND_DTYPE``) into a table of sends."""
    return pa.table(
        {
            f.name: pa.array(entries[f.name].astype(f.type.to_pandas_dtype()))
            for f in SCHEMAS["sends"]
        }
    )


# --------------------------------------------------------------------------
# Writing


@dataclass
class _Kind:
    """What the writer knows of one kind of rows."""

    directory: Path
    buffered: list[pa.Table] = field(default_factory=list)
    buffered_rows: int = 0
    segments: int = 0
    rows: int = 0


class RecordingWriter:
    """Writes one recording; a kill at any time costs at most the open segment.

    ``meta`` is what is known at the start; ``schema``, ``clean`` and
    ``segments`` are added here. Raises `TracerError` when the directory exists
    and is not empty, cannot be made, or belongs to another recorder.
    """

    def __init__(self, path: str | os.PathLike[str], meta: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._meta = dict(meta)
        self._kinds = {kind: _Kind(self.path / kind) for kind in KINDS}
        _claim(self.path)
        self._guarded(self._begin)

    def append(
        self,
        events: pa.Table | None = None,
        sends: pa.Table | None = None,
        tasks: pa.Table | None = None,
    ) -> None:
        """Buffer rows; a million of one kind are flushed at once.

        Raises `ValueError` for a table whose columns are not those of its kind.
        """
        for kind, table in zip(KINDS, (events, sends, tasks), strict=True):
            if table is None or table.num_rows == 0:
                continue
            state = self._kinds[kind]
            state.buffered.append(_conform(table, kind))
            state.buffered_rows += table.num_rows
        if any(state.buffered_rows >= FLUSH_ROWS for state in self._kinds.values()):
            self.flush()

    def flush(self) -> None:
        """Write one segment per kind that has buffered rows.

        Raises `TracerError` when that fails, above all for want of space; what
        was flushed before remains readable.
        """
        self._guarded(self._flush)

    def close(self, meta: Mapping[str, Any]) -> None:
        """End cleanly: flush, merge each kind's segments, write the final meta.

        ``meta`` updates what was given at the start. The segments of a merge
        for which there is no room stay: they hold the same rows.
        """
        self._guarded(lambda: self._close(meta))

    def discard(self) -> None:
        """Give the directory back, unless something was recorded into it already."""
        if any(self.rows.values()):
            return
        for state in self._kinds.values():
            state.directory.rmdir()
        (self.path / META_NAME).unlink()

    @property
    def rows(self) -> dict[str, int]:
        """Rows on disk by kind; buffered ones are not counted."""
        return {kind: state.rows for kind, state in self._kinds.items()}

    def _begin(self) -> None:
        for state in self._kinds.values():
            state.directory.mkdir(exist_ok=True)
        self._write_meta(clean=False)

    def _flush(self) -> None:
        for kind, state in self._kinds.items():
            if not state.buffered:
                continue
            target = state.directory / f"{state.segments:06d}.parquet"
            # One row group for the whole segment: the parts may differ in
            # their dictionaries, which concatenation does not mind.
            table = pa.concat_tables(state.buffered).unify_dictionaries()
            _write_parquet(target, kind, iter([table]))
            state.segments += 1
            state.rows += state.buffered_rows
            state.buffered.clear()
            state.buffered_rows = 0

    def _close(self, meta: Mapping[str, Any]) -> None:
        self._flush()
        for kind, state in self._kinds.items():
            _merge(kind, state.directory)
        self._meta.update(meta)
        self._write_meta(clean=True)

    def _write_meta(self, clean: bool) -> None:
        self._meta.update(schema=SCHEMA_VERSION, clean=clean, segments=self.rows)
        text = json.dumps(self._meta, indent=1)

        def write(part: Path) -> None:
            with part.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())

        _atomically(self.path / META_NAME, write)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run one step; tell a failed system call as what it means to the user."""
        try:
            step()
        except OSError as error:
            lost = sum(state.buffered_rows for state in self._kinds.values())
            kept = ", ".join(f"{rows} {kind}" for kind, rows in self.rows.items())
            raise TracerError(
                f"cannot write the recording {self.path}",
                f"{os.strerror(error.errno) if error.errno else error} "
                f"({lost} rows not yet written are lost)",
                f"free some space or choose another directory; {kept} are kept and stay readable",
            ) from error


def _claim(path: Path) -> None:
    """Make the directory ours, or say whose it is."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = any(path.iterdir())
        if not taken:
            # Of two recorders that both saw it empty, one creates this file.
            with (path / META_NAME).open("x"):
                return
    except FileExistsError:
        taken = True
    except OSError as error:
        raise TracerError(
            f"cannot make the recording directory {path}",
            os.strerror(error.errno or 0),
            "choose a directory that can be written",
        ) from error
    what = f"cannot record into {path}"
    if not path.is_dir():
        raise TracerError(what, "it is not a directory", "choose another one")
    if not (path / META_NAME).exists():
        raise TracerError(what, "the directory is not empty", "choose a new or empty one")
    raise TracerError(
        what,
        "it holds a recording already, or another recorder writes there",
        "choose a new directory, or remove that one",
    )


def _conform(table: pa.Table, kind: str) -> pa.Table:
    """The table with the columns, order and types of its kind."""
    schema = SCHEMAS[kind]
    if set(table.column_names) != set(schema.names):
        wrong = sorted(set(table.column_names) ^ set(schema.names))
        raise ValueError(f"{kind}: columns missing or unknown: {', '.join(wrong)}")
    columns = [_convert(table.column(f.name), f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _convert(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if column.type == wanted:
        return column
    if pa.types.is_dictionary(wanted):
        # There is no cast between index types of dictionaries that arrive in
        # parts: go through the few distinct strings.
        strings = column.cast(wanted.value_type).combine_chunks()
        encoded = strings.dictionary_encode()
        indices = encoded.indices.cast(wanted.index_type)
        return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, encoded.dictionary)])
    return column.cast(wanted)


def _write_parquet(target: Path, kind: str, tables: Iterator[pa.Table]) -> None:
    """Write one file under a temporary name, sync it, and rename it."""
    schema = SCHEMAS[kind]
    delta = [name for name in schema.names if name in _DELTA]
    other = [name for name in schema.names if name not in _DELTA | _PLAIN]

    def write(part: Path) -> None:
        with part.open("wb") as file:
            writer = pq.ParquetWriter(
                file,
                schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=other,
                column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
                write_page_checksum=True,
            )
            with writer:
                for table in tables:
                    writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())

    _atomically(target, write)


def _atomically(target: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file and rename it; leave none behind."""
    part = target.with_name(target.name + ".part")
    try:
        write(part)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _merge(kind: str, directory: Path) -> None:
    """Replace the segments of one kind by one file with the same rows."""
    segments = sorted(directory.glob("*.parquet"))
    if len(segments) < 2:
        return
    merged = directory / f"{segments[0].stem}-{segments[-1].stem}.parquet"
    try:
        _write_parquet(merged, kind, _row_groups(kind, segments))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return
        raise
    for segment in segments:
        segment.unlink()


def _row_groups(kind: str, segments: list[Path]) -> Iterator[pa.Table]:
    """The rows of all segments in order, in tables of a bounded number of rows."""
    waiting: list[pa.Table] = []
    rows = 0
    for segment in segments:
        with pq.ParquetFile(segment) as file:
            for batch in file.iter_batches(ROW_GROUP_ROWS):
                table = _conform(pa.Table.from_batches([batch]), kind)
                waiting.append(table)
                rows += table.num_rows
                if rows >= ROW_GROUP_ROWS:
                    yield pa.concat_tables(waiting).unify_dictionaries()
                    waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


# --------------------------------------------------------------------------
# Reading


@dataclass
class Recording:
    """An opened recording.

    ``events``, ``sends`` and ``tasks`` have the columns of `SCHEMAS`, times in
    nanoseconds of CLOCK_MONOTONIC. ``damage`` has one line for everything that
    is known to be missing; it is empty for a complete recording.
    """

    path: Path
    meta: dict[str, Any]
    events: pd.DataFrame
    sends: pd.DataFrame
    tasks: pd.DataFrame
    damage: list[str]


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open a recording made on any host; needs neither BCC nor root nor Linux.

    Segments that cannot be read are left out and named in ``damage``. Raises
    `TracerError` for a missing directory, one that is no recording or must not be read,
    a newer schema, a missing or wrongly typed column, and a point not known here.
    """
    root = Path(path)
    meta = _read_meta(root)
    damage: list[str] = []
    if not meta["clean"]:
        damage.append("the recording was not closed: rows after the last segment are lost")
    frames = {}
    for kind in KINDS:
        table = _read_kind(root / kind, kind, damage)
        if meta["clean"]:
            declared = meta.get("segments", {}).get(kind, table.num_rows)
            if declared != table.num_rows:
                damage.append(f"{kind}: {table.num_rows} rows found, {declared} were written")
        frames[kind] = table.to_pandas(split_blocks=True, self_destruct=True)
    frames["events"]["point"] = _known(frames["events"]["point"], root)
    return Recording(root, meta, frames["events"], frames["sends"], frames["tasks"], damage)


def _known(points: pd.Series[Any], root: Path) -> pd.Series[Any]:
    """The points, their categories strings even where there is none."""
    unknown = sorted(set(points.cat.categories) - set(POINTS))
    if unknown:
        raise TracerError(
            f"cannot open the recording {root}",
            f"its events name the point {unknown[0]}, which this tracer does not know",
            "upgrade tracer",
        )
    return points.cat.rename_categories(points.cat.categories.astype("str"))


def _read_meta(root: Path) -> dict[str, Any]:
    what = f"cannot open the recording {root}"
    todo = "give the directory that `tracer record -o` wrote"
    try:
        if not root.is_dir():
            why = "it is not a directory" if root.exists() else "there is no such directory"
            raise TracerError(what, why, todo)
        meta = json.loads((root / META_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TracerError(what, f"it has no {META_NAME}", todo) from None
    except PermissionError as error:
        raise TracerError(what, "you may not read it", "make it readable to you") from error
    except OSError as error:
        raise TracerError(what, os.strerror(error.errno or 0), todo) from error
    except ValueError as error:
        raise TracerError(what, f"{META_NAME} cannot be read ({error})", "record again") from error
    version = meta.get("schema") if isinstance(meta, dict) else None
    if not isinstance(version, int) or version < 1 or not isinstance(meta.get("clean"), bool):
        raise TracerError(what, f"{META_NAME} is not that of a recording", "record again")
    if version > SCHEMA_VERSION:
        raise TracerError(
            what,
            f"its schema is {version}, this tracer reads up to {SCHEMA_VERSION}",
            "upgrade tracer",
        )
    return dict(meta)


def _read_kind(directory: Path, kind: str, damage: list[str]) -> pa.Table:
    """All readable rows of one kind in the order in which they were written."""
    for part in sorted(directory.glob("*.part")):
        damage.append(f"{kind}/{part.name}: open segment lost")
    tables: list[pa.Table] = []
    following = 0
    for first, last, file in _segments(directory):
        if last < following:
            continue  # merged into a file that was read
        if first > following:
            damage.append(f"{kind}: segments {following} to {first - 1} are missing")
        try:
            tables.append(_read_segment(file, kind))
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            damage.append(f"{kind}/{file.name}: segment lost, it cannot be read ({reason})")
            if last > first:
                continue  # its segments may still be there
        following = last + 1
    if not tables:
        return SCHEMAS[kind].empty_table()
    return pa.concat_tables(tables).unify_dictionaries()


def _segments(directory: Path) -> list[tuple[int, int, Path]]:
    """First and last number and path of each file, wide ranges first."""
    found = []
    for file in directory.glob("*.parquet"):
        if match := _SEGMENT_NAME.fullmatch(file.name):
            first = int(match[1])
            found.append((first, int(match[2] or first), file))
    return sorted(found, key=lambda entry: (entry[0], -entry[1]))


def _read_segment(file: Path, kind: str) -> pa.Table:
    with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        _check_columns(parquet.schema_arrow, file, kind)
        return _conform(parquet.read(columns=SCHEMAS[kind].names), kind)


def _check_columns(found: pa.Schema, file: Path, kind: str) -> None:
    what = f"cannot use the recording's {kind}/{file.name}"
    for wanted in SCHEMAS[kind]:
        if wanted.name not in found.names:
            raise TracerError(what, f"column {wanted.name} is missing", "record again")
        there = _plain(found.field(wanted.name).type)
        if there != _plain(wanted.type):
            raise TracerError(
                what,
                f"column {wanted.name} is {there}, it should be {_plain(wanted.type)}",
                "record again, or write it with the schema that meta.json names",
            )


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values, however they are encoded."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
