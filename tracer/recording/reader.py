# SPDX-License-Identifier: GPL-2.0-or-later
"""Open a recording, made on any host: needs neither BCC nor root nor Linux."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tracer.errors import TracerError
from tracer.event import POINTS_OF_KIND
from tracer.recording.bounds import Budget, check_values, read_meta
from tracer.recording.files import open_regular
from tracer.recording.format import (
    KINDS,
    META_NAME,
    RECORD_KINDS,
    SCHEMA_VERSION,
    SCHEMAS,
    SEGMENT_NAME,
    conform,
    plain,
)
from tracer.recording.witnesses import check_types

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Recording:
    """An opened recording.

    The frames have the columns of `SCHEMAS`, times in nanoseconds of CLOCK_MONOTONIC. ``damage``
    has one line for everything that is known to be missing; it is empty for a complete
    recording.
    """

    path: Path
    meta: dict[str, Any]
    send_calls: pd.DataFrame
    recv_calls: pd.DataFrame
    opt_calls: pd.DataFrame
    extras: pd.DataFrame
    sends: pd.DataFrame
    tasks: pd.DataFrame
    damage: list[str]


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open a recording made on any host; needs neither BCC nor root nor Linux.

    Segments that cannot be read are left out and named in ``damage``. Raises
    `TracerError` for a missing directory, one that is no recording or must not be read,
    another schema, a missing or wrongly typed column, and a point not known here.
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
            declared = (meta.get("segments") or {}).get(kind)
            if declared not in (None, table.num_rows):
                damage.append(f"{kind}: {table.num_rows} rows found, {declared} were written")
        frames[kind] = table.to_pandas(split_blocks=True, self_destruct=True)
    for kind in ("opt_calls", "extras"):
        _require_known(frames[kind]["point"], kind, root)
    return Recording(root, meta, damage=damage, **frames)


def _require_known(points: pd.Series[Any], kind: str, root: Path) -> None:
    """Raise `TracerError` for a point that rows of this kind cannot have."""
    unknown = sorted(set(points.unique()) - set(POINTS_OF_KIND[RECORD_KINDS[kind]]))
    if unknown:
        raise TracerError(
            f"cannot open the recording {root}",
            f"its {kind} name the point {unknown[0]}, which this tracer does not know",
            "upgrade tracer",
        )


def _read_meta(root: Path) -> dict[str, Any]:
    what = f"cannot open the recording {root}"
    todo = "give the directory that `tracer record -o` wrote"
    try:
        if not root.is_dir():
            why = "it is not a directory" if root.exists() else "there is no such directory"
            raise TracerError(what, why, todo)
        meta = _parsed(read_meta(root / META_NAME))
    except FileNotFoundError:
        raise TracerError(what, f"it has no {META_NAME}", todo) from None
    except PermissionError as error:
        raise TracerError(what, "you may not read it", "make it readable to you") from error
    except OSError as error:
        raise TracerError(what, error.strerror or str(error), todo) from error
    except (ValueError, RecursionError) as error:
        raise TracerError(what, f"{META_NAME} cannot be read ({error})", "record again") from error
    version = meta.get("schema") if isinstance(meta, dict) else None
    if type(version) is not int or version < 1 or not isinstance(meta.get("clean"), bool):
        raise TracerError(what, f"{META_NAME} is not that of a recording", "record again")
    if version != SCHEMA_VERSION:
        older = version < SCHEMA_VERSION
        raise TracerError(
            what,
            f"it is of schema {version}, this version reads {SCHEMA_VERSION}",
            "read it with tracer 0.1, or record again" if older else "upgrade tracer",
        )
    check_types(meta, what)
    return dict(meta)


def _parsed(text: bytes) -> Any:
    """The JSON value of ``text``; ValueError for NaN and Infinity, which are no JSON (RFC 8259)."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def _read_kind(directory: Path, kind: str, damage: list[str]) -> pa.Table:
    """All readable rows of one kind in the order in which they were written."""
    for part in sorted(directory.glob("*.part")):
        damage.append(f"{kind}/{part.name}: open segment lost")
    tables: list[pa.Table] = []
    budget = Budget()
    following = 0
    for first, last, file in _segments(directory):
        if last < following:
            continue  # its rows are in a merged file that was read
        if first > following:
            damage.append(f"{kind}: segments {following} to {first - 1} are missing")
        try:
            tables.append(_read_segment(file, kind, budget))
        except (OSError, ValueError, pa.ArrowException) as error:
            told = error.strerror if isinstance(error, OSError) else None
            reason = (told or str(error) or type(error).__name__).splitlines()[0]
            damage.append(f"{kind}/{file.name}: segment lost, it cannot be read ({reason})")
            if last > first:
                continue  # a merged file: the segments that it replaces may still be there
        following = last + 1
    if not tables:
        return SCHEMAS[kind].empty_table()
    return pa.concat_tables(tables).unify_dictionaries()


def _segments(directory: Path) -> list[tuple[int, int, Path]]:
    """(first segment, last segment, path) of each file; of files that begin alike the widest first.

    A file ``000003.parquet`` is (3, 3, path), a merged one ``000000-000041.parquet`` (0, 41, path).
    """
    found = []
    for file in directory.glob("*.parquet"):
        if match := SEGMENT_NAME.fullmatch(file.name):
            first = int(match[1])
            found.append((first, int(match[2] or first), file))
    return sorted(found, key=lambda entry: (entry[0], -entry[1]))


def _read_segment(path: Path, kind: str, budget: Budget) -> pa.Table:
    with open_regular(path) as file, budget.open(file) as parquet:
        _check_columns(parquet.schema_arrow, path, kind)
        table = parquet.read(columns=SCHEMAS[kind].names)
        check_values(table, kind)
        return conform(table, kind)


def _check_columns(found: pa.Schema, file: Path, kind: str) -> None:
    what = f"cannot use the recording's {kind}/{file.name}"
    for wanted in SCHEMAS[kind]:
        if wanted.name not in found.names:
            raise TracerError(what, f"column {wanted.name} is missing", "record again")
        there = plain(found.field(wanted.name).type)
        if there != plain(wanted.type):
            raise TracerError(
                what,
                f"column {wanted.name} is {there}, it should be {plain(wanted.type)}",
                "record again, or write it with the schema that meta.json names",
            )
