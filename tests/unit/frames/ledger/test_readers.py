# SPDX-License-Identifier: GPL-2.0-or-later
"""Each message that was queued is read, or told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from recording_copies import (
    Copy,
    removed,
)

from tracer.frames.ledger.readers import reader_lines


@pytest.mark.parametrize(
    ("point", "name"),
    [("skb_copy_datagram_iter", "netlink reads"), ("__netlink_sendskb", "messages read")],
)
def test_copies_against_calls_and_queued_messages(
    copy: Copy, events: pd.DataFrame, point: str, name: str
) -> None:
    """Whichever message it is, but the first of a socket: that may have been queued before."""
    rows = (events["point"] == point).to_numpy().nonzero()[0]
    (file,) = (copy.path / "events").glob("*.parquet")
    whole = file.read_bytes()
    firsts = events.iloc[rows].drop_duplicates(["netns", "proto", "portid"]).index
    for row in rows[::7]:
        file.write_bytes(whole)
        copy.rows("events", removed(int(row)))
        found = copy.load().ledger.set_index("line").loc[name]
        early = point == "__netlink_sendskb" and row in firsts
        assert found["ok"] == early, row
        assert abs(found["difference"]) == (not early)
        if early:
            assert found["note"] == "1 queued before the socket was watched"


def test_a_message_that_nobody_read_is_told(copy: Copy, events: pd.DataFrame) -> None:
    """The last read of the listener, its copy and its call, are gone."""
    last = events.index[events["point"] == "skb_copy_datagram_iter"][-1]
    calls = events[(events["point"] == "recvfrom") & (events["tid"] == events.loc[last, "tid"])]
    around = calls.index[calls["end_ns"] >= events.loc[last, "end_ns"]][0]
    copy.rows("events", lambda frame: frame.drop(index=[last, around]))
    for name in ("netlink reads", "messages read"):
        assert copy.line(name)["ok"]
    row = copy.line("messages read")
    assert (row["count"], row["other"]) == (70, 70)
    assert row["note"] == "1 queued, of which no read was seen"


def test_a_full_receive_queue_is_told_but_is_no_loss_of_ours() -> None:
    events = pd.DataFrame({"point": ["netlink_overrun", "recvfrom", "netlink_overrun"]})
    reads: Any = SimpleNamespace(calls=1, filled=1, queued=1, known=1, early=0, consumed=1)
    *_others, told = reader_lines(events, reads)
    assert (told.line, told.count, told.ok) == ("receive queue full", 2, True)
    assert "receive queue full" not in [line.line for line in reader_lines(events.iloc[1:2], reads)]
