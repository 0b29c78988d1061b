# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger of a real recording balances, and tells what is missing on disk."""

from __future__ import annotations

from properties import check
from recording_copies import (
    ALL_CHANNELS,
    POINTS,
    Copy,
    bad_lines,
)

import tracer
from tracer.frames.ledger import COLUMNS


def test_the_recording_replays() -> None:
    run = tracer.load(ALL_CHANNELS)
    check(run)
    assert tuple(run.ledger.columns) == COLUMNS
    assert set(POINTS) == set(run.events["point"].unique())
    assert (run.ledger["difference"] == run.ledger["count"] - run.ledger["other"]).all()


def test_an_untouched_copy_is_trusted(copy: Copy) -> None:
    copy.rows("events", lambda frame: frame)
    copy.rows("sends", lambda frame: frame)
    assert bad_lines(copy.load()) == []


def test_rows_missing_on_disk(copy: Copy) -> None:
    copy.meta(lambda meta: meta["segments"].update(tasks=6))
    assert bad_lines(copy.load()) == ["segments lost"]
    assert copy.line("segments lost")["note"] == "tasks: 5 rows found, 6 were written"


def test_a_recorder_that_was_killed(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(clean=False))
    assert bad_lines(copy.load()) == ["segments lost"]
