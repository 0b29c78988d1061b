# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of a recording that are tampered with, and ways to do so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import tracer
from tracer.event import POINTS_OF_KIND, RECORD_POINTS
from tracer.recording import RECORD_KINDS, SCHEMAS, row_sum
from tracer.recording.witnesses import LogCount, seal
from tracer.run import Run

#: The checked-in recording, made in the lab.
ALL_CHANNELS = Path(__file__).parents[1] / "data" / "all-channels"

Change = Callable[[pd.DataFrame], pd.DataFrame]


class Copy:
    """A copy of the recording ``source`` in ``directory``, to be changed and loaded again."""

    def __init__(self, directory: Path, source: Path = ALL_CHANNELS) -> None:
        self.path = directory / "copy"
        shutil.copytree(source, self.path)

    def rows(self, kind: str, change: Change) -> pd.DataFrame:
        """Rewrite the rows of ``kind``, as a damaged disk would; returns the new ones.

        The number of rows in meta.json follows, so that it is the ledger that must find it.
        """
        (file,) = (self.path / kind).glob("*.parquet")
        changed = change(pq.read_table(file).to_pandas()).reset_index(drop=True)
        pq.write_table(pa.Table.from_pandas(changed, SCHEMAS[kind], preserve_index=False), file)
        self.meta(lambda meta: meta["segments"].update({kind: len(changed)}))
        return changed

    def recorded(self, kind: str, change: Change) -> None:
        """Rewrite the rows of ``kind``, as if these were what the recorder had got.

        All counts of records, rows and entries follow. So only what compares their content with
        that of other kinds, or with the module, can find it.
        """
        changed = self.rows(kind, change)
        if kind == "sends":
            count = LogCount()
            count.add(changed)
            self.meta(lambda meta: meta.update(log=count.as_dict()))
            return
        points = POINTS_OF_KIND[RECORD_KINDS[kind]]
        code = changed["point"] if "point" in changed else pd.Series(points[0], changed.index)

        def follow(meta: dict[str, Any]) -> None:
            meta["rows"][kind] = row_sum(kind, changed)
            for point in points:
                number = int((code == point).sum())
                meta["accounts"][RECORD_POINTS[point]]["emitted"] = number
                meta["decoded"][RECORD_POINTS[point]]["count"] = number

        self.meta(follow)

    def meta(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change ``meta.json`` in place, and seal it anew."""
        file = self.path / "meta.json"
        meta = json.loads(file.read_text())
        change(meta)
        file.write_text(json.dumps(meta | {"seal": seal(meta)}))

    def load(self) -> Run:
        """The copy as it is now."""
        return tracer.load(self.path)

    def bad(self) -> list[str]:
        """The lines of its ledger that do not balance."""
        return bad_lines(self.load())

    def line(self, name: str) -> dict[str, Any]:
        """The line of its ledger that has this name."""
        lines = self.load().ledger
        (row,) = lines[lines["line"] == name].to_dict("records")
        return row


def bad_lines(run: Run) -> list[str]:
    """The lines of the ledger that do not balance."""
    return run.ledger.loc[~run.ledger["ok"], "line"].tolist()


def middle(rows: pd.Series) -> int:
    """A row from the middle of those that are true."""
    there = rows.to_numpy().nonzero()[0]
    return int(there[len(there) // 2])


def removed(row: int) -> Change:
    """Without the row at this position."""
    return lambda frame: frame.drop(index=frame.index[row])


def duplicated(row: int) -> Change:
    """With the row at this position twice."""
    return lambda frame: pd.concat([frame.iloc[: row + 1], frame.iloc[row:]])


def moved(row: int, by: int, *columns: str) -> Change:
    """With the row at this position larger by ``by`` in ``columns``."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        new = {column: frame[column].to_numpy(copy=True) for column in columns}
        for values in new.values():
            values[row] = int(values[row]) + by
        return frame.assign(**new)

    return change
