# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes that the probes read stand against what calls returned, and against the user's log."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pytest
from channels_builder import DUMPER
from recording_copies import Copy, middle, moved

from tracer.correlate.user import CALL, SEND
from tracer.frames.ledger.sizes import bytes_logged, bytes_sent

SENT = "bytes sent"
NETLINK, SETS, GETS = (
    "bytes of netlink requests", "bytes of setsockopt requests", "bytes of getsockopt answers",
)  # fmt: skip


@pytest.mark.parametrize("column", ["buffer", "ret"])
@pytest.mark.parametrize("by", [1, -1])
def test_a_call_that_returned_another_length(copy: Copy, column: str, by: int) -> None:
    copy.recorded("send_calls", moved(7, by, column))
    assert copy.bad() == [SENT]
    assert copy.line(SENT)["difference"] == (by if column == "buffer" else -by)
    assert copy.line(SENT)["note"] == "1 calls returned another length"


def test_differences_do_not_cancel_out(rows: Mapping[str, pd.DataFrame]) -> None:
    calls = rows["send_calls"].copy()
    calls.loc[0, "buffer"] += 1
    calls.loc[1, "buffer"] -= 1
    (line,) = bytes_sent({"send_calls": calls})
    assert (line.difference, line.ok, line.note) == (0, False, "2 calls returned another length")


def test_a_call_that_failed_sent_nothing(rows: Mapping[str, pd.DataFrame]) -> None:
    calls = rows["send_calls"].copy()
    calls.loc[0, "ret"] = -105
    (line,) = bytes_sent({"send_calls": calls})
    assert (line.count, line.other, line.ok) == (936 - 64, 936 - 64, True)
    assert list(bytes_sent({"send_calls": calls.assign(ret=-1)})) == []


@pytest.mark.parametrize(
    ("channel", "kind", "name"), [(0, SEND, NETLINK), (1, CALL, SETS), (2, CALL, GETS)]
)
@pytest.mark.parametrize("by", [1, -1])
def test_an_entry_of_the_log_that_says_another_size(
    copy: Copy, sends: pd.DataFrame, channel: int, kind: int, name: str, by: int
) -> None:
    row = middle((sends["channel"] == channel) & (sends["kind"] == kind))
    copy.recorded("sends", moved(row, by, "size"))
    assert copy.bad() == [name]
    assert copy.line(name)["difference"] == by


def test_a_message_of_another_size_in_the_kernel(copy: Copy) -> None:
    copy.recorded("opt_calls", moved(0, 4, "size"))
    assert copy.bad() == [SETS]
    copy.recorded("send_calls", moved(14, 4, "size"))
    assert copy.bad() == [SETS], "its process keeps no log"
    assert copy.load().exchanges["tid"].iloc[-2] == DUMPER


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_an_entry_that_is_missing_is_missing_on_both_sides(
    copy: Copy, sends: pd.DataFrame, channel: int
) -> None:
    row = middle((sends["channel"] == channel) & (sends["kind"] != 1))
    copy.recorded("sends", lambda frame: frame.drop(index=row))
    bad = copy.bad()
    assert "requests nobody logged" in bad
    assert not {NETLINK, SETS, GETS} & set(bad)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_call_that_nobody_saw_is_missing_on_both_sides(
    copy: Copy, sends: pd.DataFrame, channel: int
) -> None:
    row = middle((sends["channel"] == channel) & (sends["kind"] != 1))
    copy.recorded("sends", moved(row, 10**8, "begin_ns", "end_ns"))
    bad = copy.bad()
    assert "sends nobody saw" in bad
    assert not {NETLINK, SETS, GETS} & set(bad)


def test_a_getsockopt_that_failed_has_no_length() -> None:
    """The log then has the room that the program offered."""
    entries = pd.DataFrame(
        {"kind": CALL, "channel": 2, "tgid": 1, "size": [96, 512], "errno": [0, 22]}
    )
    exchanges = pd.DataFrame(
        {"channel": "getsockopt", "status": ["ok", "error"], "tgid": 1, "errno": [0, 22],
         "request_bytes": 0, "reply_bytes": [96, 500]}
    )  # fmt: skip
    (line,) = bytes_logged(entries, exchanges)
    assert (line.line, line.count, line.other, line.ok) == (GETS, 96, 96, True)


def test_who_keeps_no_log_has_no_line(rows: Mapping[str, pd.DataFrame]) -> None:
    exchanges = pd.DataFrame(
        {"channel": ["netlink"], "status": "ok", "tgid": 1, "errno": 0, "request_bytes": 40}
    )
    assert list(bytes_logged(rows["sends"].iloc[:0], exchanges)) == []
