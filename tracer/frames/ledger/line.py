# SPDX-License-Identifier: GPL-2.0-or-later
"""One line of the ledger: two counts of the same thing, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One line of the ledger; for its fields see ``Frames.ledger``."""

    line: str
    witness: str
    count: int | None
    against: str
    other: int
    difference: int | None
    ok: bool
    note: str = ""


def compared(
    line: str,
    witness: str,
    count: int,
    against: str,
    other: int,
    note: str = "",
    slack: int = 0,
    excuse: str = "cut off in the middle",
) -> Line:
    """A line that is ok when the counts differ by at most ``slack`` calls.

    If they do differ, the note gives the ``excuse``: "up to 2 calls cut off in the middle".
    """
    difference = count - other
    if difference and abs(difference) <= slack:
        calls = f"up to {slack} {'call' if slack == 1 else 'calls'} {excuse}"
        note = "; ".join(filter(None, [note, calls]))
    return Line(line, witness, count, against, other, difference, abs(difference) <= slack, note)


def none_expected(line: str, witness: str, count: int, note: str = "") -> Line:
    """A line that is ok when nothing was counted, such as one of lost records."""
    return compared(line, witness, count, "none expected", 0, note)


def unknown(meta: dict[str, Any], line: str, witness: str, against: str, other: int) -> Line:
    """A line without a count, because its witness is missing; never ok."""
    closed = "meta.json lacks it" if meta["clean"] else "the recording was not closed"
    return Line(line, witness, None, against, other, None, False, f"unknown: {closed}")
