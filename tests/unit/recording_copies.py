# SPDX-License-Identifier: GPL-2.0-or-later
"""The checked-in recording, and copies of it that were tampered with."""

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
from tracer.recording import SCHEMAS
from tracer.run import Run

ALL_CHANNELS = Path(__file__).parents[1] / "data" / "all-channels"
#: The points of its events.
POINTS = (
    "sendto",
    "recvfrom",
    "setsockopt",
    "getsockopt",
    "poll",
    "netlink_unicast",
    "__netlink_sendskb",
    "nf_setsockopt",
    "nf_getsockopt",
    "skb_copy_datagram_iter",
    "msgchan_handler",
    "msgchan_copy",
)

Change = Callable[[pd.DataFrame], pd.DataFrame]


class Copy:
    """A copy of the recording in ``directory``, to be changed and loaded again."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "copy"
        shutil.copytree(ALL_CHANNELS, self.path)

    def rows(self, kind: str, change: Change) -> None:
        """Rewrite the rows of ``kind``; meta.json's number of rows follows.

        So that it is the ledger that must find it, not the count of the rows.
        """
        (file,) = (self.path / kind).glob("*.parquet")
        changed = change(pq.read_table(file).to_pandas()).reset_index(drop=True)
        pq.write_table(pa.Table.from_pandas(changed, SCHEMAS[kind], preserve_index=False), file)
        self.meta(lambda meta: meta["segments"].update({kind: len(changed)}))

    def meta(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change ``meta.json`` in place."""
        file = self.path / "meta.json"
        meta = json.loads(file.read_text())
        change(meta)
        file.write_text(json.dumps(meta))

    def load(self) -> Run:
        """The copy as it is now."""
        return tracer.load(self.path)

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


def moved(row: int, ns: int, *columns: str) -> Change:
    """With the row at this position ``ns`` later in ``columns``."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        for column in columns:
            frame.loc[frame.index[row], column] += ns
        return frame

    return change
