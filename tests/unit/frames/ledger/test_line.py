# SPDX-License-Identifier: GPL-2.0-or-later
"""Two counts that agree, that differ, and of which one is unknown."""

from __future__ import annotations

import pytest

from tracer.frames.ledger.line import compared, none_expected, unknown


@pytest.mark.parametrize(
    ("count", "slack", "ok", "note"),
    [
        (5, 0, True, "two CPUs"),
        (6, 0, False, "two CPUs"),
        (6, 1, True, "two CPUs; up to 1 call cut off in the middle"),
        (3, 2, True, "two CPUs; up to 2 calls cut off in the middle"),
        (2, 2, False, "two CPUs"),
    ],
)
def test_counts_may_differ_by_the_slack(count: int, slack: int, ok: bool, note: str) -> None:
    told = compared("requests", "module", count, "probes", 5, "two CPUs", slack)
    assert (told.difference, told.ok, told.note) == (count - 5, ok, note)


def test_there_should_be_no_loss() -> None:
    assert none_expected("ring full", "probes", 0).ok
    assert not none_expected("ring full", "probes", 1).ok


@pytest.mark.parametrize(
    ("clean", "note"),
    [(True, "unknown: meta.json lacks it"), (False, "unknown: the recording was not closed")],
)
def test_what_nobody_counted_is_not_ok(clean: bool, note: str) -> None:
    told = unknown({"clean": clean}, "requests", "module", "probes", 5)
    assert (told.count, told.difference, told.ok, told.note) == (None, None, False, note)
