# SPDX-License-Identifier: GPL-2.0-or-later
"""Each entry of the user's log that is lost, repeated, moved or contradicted has its line."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from recording_copies import (
    Change,
    Copy,
    duplicated,
    middle,
    moved,
    removed,
)

from tracer.correlate.user import CALL, RECEIVE, SEND
from tracer.frames.ledger.log import logged
from tracer.frames.slack import Slack


@pytest.mark.parametrize(
    ("channel", "kind", "name"),
    [
        (0, SEND, "netlink sends"),
        (0, RECEIVE, "receives"),
        (1, CALL, "setsockopt calls"),
        (2, CALL, "getsockopt calls"),
        (3, RECEIVE, "receives"),
    ],
)
@pytest.mark.parametrize("damage", [removed, duplicated])
def test_one_entry_of_the_log_too_few_or_too_many(
    copy: Copy,
    sends: pd.DataFrame,
    channel: int,
    kind: int,
    name: str,
    damage: Callable[[int], Change],
) -> None:
    rows = (sends["channel"] == channel) & (sends["kind"] == kind)
    copy.recorded("sends", damage(middle(rows)))
    if damage is removed and kind == RECEIVE:
        name = "reads nobody logged"
    assert name in copy.bad()


@pytest.mark.parametrize(
    ("channel", "kind", "lines"),
    [
        (0, SEND, ["sends nobody saw", "requests nobody logged"]),
        (0, RECEIVE, ["receives"]),
        (1, CALL, ["sends nobody saw", "requests nobody logged"]),
        (2, CALL, ["sends nobody saw", "requests nobody logged"]),
    ],
)
def test_one_entry_of_the_log_moved_in_time(
    copy: Copy, sends: pd.DataFrame, channel: int, kind: int, lines: list[str]
) -> None:
    row = middle((sends["channel"] == channel) & (sends["kind"] == kind))
    copy.recorded("sends", moved(row, 10**9, "begin_ns", "end_ns"))
    assert set(lines) <= set(copy.bad())


def test_the_log_stands_against_the_sockets_that_it_tells_of() -> None:
    """Sends to other programs are sends."""
    sends = pd.DataFrame(
        {"tgid": 1, "kind": [SEND, SEND, RECEIVE, RECEIVE, CALL], "channel": [0, 0, 0, 0, 1],
         "size": [64, 64, 32, 0, 8]}
    )  # fmt: skip
    logging = {"netlink": 1, "peer": 1, "setsockopt": 0, "getsockopt": 0}
    correlation: Any = SimpleNamespace(unseen=[0], unlogged=[], logging=logging)
    told = logged(sends, correlation, Slack())
    assert {line.line: (line.count, line.other, line.ok) for line in told} == {
        "netlink sends": (2, 2, True),
        "setsockopt calls": (1, 0, False),
        "receives": (1, 0, False),
        "reads nobody logged": (0, 0, True),
    }


def test_a_token_that_another_witness_contradicts(copy: Copy, sends: pd.DataFrame) -> None:
    row = middle((sends["channel"] == 0) & (sends["kind"] == SEND))
    copy.recorded("sends", moved(row, 1, "token"))
    assert copy.bad() == ["tokens that disagree"]


def spool_of(ours: int, strangers: int) -> dict[str, Any]:
    first = "1000/x.sends: not a regular file"
    return {
        "ours": {"count": ours, "first": first if ours else ""},
        "strangers": {"count": strangers, "first": first if strangers else ""},
    }


def test_a_traced_user_s_odd_file_may_be_a_lost_log(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(spool=spool_of(2, 0)))
    assert copy.bad() == ["odd files in the spool"]
    row = copy.line("odd files in the spool")
    assert (row["count"], row["other"], row["ok"]) == (2, 0, False)
    assert row["note"] == "1000/x.sends: not a regular file"


def test_strangers_cannot_make_a_recording_untrusted(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(spool=spool_of(0, 7)))
    assert copy.load().trusted
    assert copy.line("odd files in the spool")["ok"]
    row = copy.line("files of strangers in the spool")
    assert (row["count"], row["ok"]) == (7, True)
    assert row["note"] == "not read: 1000/x.sends: not a regular file"


def test_a_recording_that_does_not_say_what_lay_in_the_spool(copy: Copy) -> None:
    copy.meta(lambda meta: meta.pop("spool"))
    assert copy.bad() == ["odd files in the spool", "witnesses missing"]
    assert pd.isna(copy.line("odd files in the spool")["count"])


@pytest.mark.parametrize("damage", [removed, duplicated])
def test_entries_that_the_disk_lost_or_repeated(
    copy: Copy, damage: Callable[[int], Change]
) -> None:
    copy.rows("sends", damage(3))
    assert "entries of the log" in copy.bad()


@pytest.mark.parametrize("column", ["begin_ns", "end_ns", "tgid"])
def test_an_entry_that_changed_on_the_disk(copy: Copy, column: str) -> None:
    copy.rows("sends", moved(3, 1, column))
    assert "entries of the log" in copy.bad()
    assert copy.line("entries of the log")["note"].startswith("process 100: they differ")
