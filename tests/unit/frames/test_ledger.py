# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger of a real recording balances, and tells what is missing on disk."""

from __future__ import annotations

from pathlib import Path

from properties import check
from recording_copies import ALL_CHANNELS, Copy, bad_lines

import tracer
from tracer.frames.ledger import COLUMNS
from tracer.recording import KINDS


def test_the_recording_replays() -> None:
    run = tracer.load(ALL_CHANNELS)
    check(run)
    assert tuple(run.ledger.columns) == COLUMNS
    assert (run.ledger["difference"] == run.ledger["count"] - run.ledger["other"]).all()


def test_so_does_the_one_that_was_made_by_hand(all_channels: Path) -> None:
    run = tracer.load(all_channels)
    check(run)
    assert (run.ledger["difference"] == run.ledger["count"] - run.ledger["other"]).all()


def test_an_untouched_copy_is_trusted(copy: Copy) -> None:
    for kind in KINDS:
        copy.rows(kind, lambda frame: frame)
        copy.recorded(kind, lambda frame: frame)
    assert copy.bad() == []


def test_rows_missing_on_disk(copy: Copy) -> None:
    copy.meta(lambda meta: meta["segments"].update(tasks=3))
    assert bad_lines(copy.load()) == ["segments lost"]
    assert copy.line("segments lost")["note"] == "tasks: 2 rows found, 3 were written"


def test_a_recorder_that_was_killed(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(clean=False))
    assert bad_lines(copy.load()) == ["segments lost"]
