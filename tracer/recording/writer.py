# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a recording: numbered segments, merged at a clean end."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tracer.errors import TracerError
from tracer.recording.files import create, make_directory
from tracer.recording.format import DELTA, KINDS, META_NAME, PLAIN, SCHEMA_VERSION, SCHEMAS, conform
from tracer.recording.witnesses import seal

FLUSH_ROWS = 1_000_000
"""A segment is written at the latest when so many rows of its kind are buffered."""
ROW_GROUP_ROWS = 1 << 18
"""Rows held in memory at a time by the merge."""


@dataclass
class _Kind:
    """The state of the writer for one kind of rows."""

    directory: Path
    buffered: list[pa.Table] = field(default_factory=list)
    buffered_rows: int = 0
    segments: int = 0
    rows: int = 0


class RecordingWriter:
    """Writes one recording; a kill at any time loses at most the rows since the last flush.

    ``meta`` holds what is known at the start; the writer adds ``schema``, ``clean``,
    ``segments`` and ``seal``. Raises `TracerError` when the directory exists and is not
    empty, cannot be made, or another recorder writes there.
    """

    def __init__(self, path: str | os.PathLike[str], meta: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._meta = dict(meta)
        self._kinds = {kind: _Kind(self.path / kind) for kind in KINDS}
        _claim(self.path)
        self._guarded(self._begin)

    def append(self, **tables: pa.Table) -> None:
        """Buffer rows, given by kind; when a kind has `FLUSH_ROWS` of them, all are flushed.

        Raises `ValueError` for a table whose columns are not those of its kind, and `KeyError`
        for a kind that there is not.
        """
        for kind, table in tables.items():
            if table.num_rows == 0:
                continue
            state = self._kinds[kind]
            state.buffered.append(conform(table, kind))
            state.buffered_rows += table.num_rows
        if any(state.buffered_rows >= FLUSH_ROWS for state in self._kinds.values()):
            self.flush()

    def flush(self) -> None:
        """Write one segment per kind that has buffered rows.

        Raises `TracerError` when that fails, for instance because the disk is full. What was
        flushed before remains readable.
        """
        self._guarded(self._flush)

    def close(self, meta: Mapping[str, Any]) -> None:
        """End cleanly: flush, merge each kind's segments, write the final meta.

        ``meta`` is added to what was given at the start. If there is no room to merge, the
        segments stay as they are: they hold the same rows. Raises `TracerError` like `flush`.
        """
        self._guarded(lambda: self._close(meta))

    def discard(self) -> None:
        """Remove what the writer made in the directory, unless it has written rows already."""
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
            make_directory(state.directory)
        self._write_meta(clean=False)

    def _flush(self) -> None:
        for kind, state in self._kinds.items():
            if not state.buffered:
                continue
            target = state.directory / f"{state.segments:06d}.parquet"
            # The buffered tables may have different dictionaries; unify them, so that the segment
            # is one row group.
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
        # The seal must be computed from what a reader will find. JSON turns keys into strings,
        # for example, so go through it once.
        meta = json.loads(json.dumps(self._meta))
        text = json.dumps(meta | {"seal": seal(meta)}, indent=1)

        def write(part: Path) -> None:
            with create(part) as file:
                file.write(text.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())

        _atomically(self.path / META_NAME, write)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run one step; raise a failed system call as the `TracerError` of :meth:`_failure`."""
        try:
            step()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> TracerError:
        """The error for a failed system call: what is lost, what is kept, and what to do."""
        what = f"cannot write the recording {self.path}"
        lost = sum(state.buffered_rows for state in self._kinds.values())
        parts = [self.path / META_NAME, *(state.directory for state in self._kinds.values())]
        if gone := [part for part in (self.path, *parts) if not part.exists()]:
            return TracerError(
                what,
                f"{gone[0]} was removed or renamed while it recorded, and what was recorded "
                f"is gone with it ({sum(self.rows.values())} rows written, {lost} to be written)",
                "record again, and leave the directory alone meanwhile",
            )
        kept = ", ".join(f"{rows} {kind}" for kind, rows in self.rows.items() if rows) or "0 rows"
        return TracerError(
            what,
            f"{os.strerror(error.errno) if error.errno else error} "
            f"({lost} rows not yet written are lost)",
            f"free some space or choose another directory; {kept} are kept and stay readable",
        )


def _claim(path: Path) -> None:
    """Make the directory and claim it by an empty ``meta.json``; TracerError if it is taken."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # If the directory exists, leave its mode as the user chose it: the files inside are
        # readable by their owner only in any case.
        if not path.exists():
            with suppress(FileExistsError):
                make_directory(path)
        if not path.is_dir():
            raise FileExistsError(path)
        taken = any(path.iterdir())
        if not taken:
            # Two recorders may both find the directory empty, but only one can create this file.
            with create(path / META_NAME):
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


def _write_parquet(target: Path, kind: str, tables: Iterator[pa.Table]) -> None:
    """Write one file under a temporary name, sync it, and rename it."""
    schema = SCHEMAS[kind]
    delta = [name for name in schema.names if name in DELTA]
    other = [name for name in schema.names if name not in DELTA | PLAIN]

    def write(part: Path) -> None:
        with create(part) as file:
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
    """Let ``write`` fill a temporary file, then rename it to ``target``; remove it on failure."""
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
                table = conform(pa.Table.from_batches([batch]), kind)
                waiting.append(table)
                rows += table.num_rows
                if rows >= ROW_GROUP_ROWS:
                    yield pa.concat_tables(waiting).unify_dictionaries()
                    waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()
