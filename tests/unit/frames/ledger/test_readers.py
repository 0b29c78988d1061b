# SPDX-License-Identifier: GPL-2.0-or-later
"""Each message that was queued is read, or told."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from channels_builder import LISTENER
from recording_copies import Change, Copy, removed

from tracer.event import RECORD_POINTS
from tracer.frames.ledger.readers import reader_lines

Rows = Mapping[str, pd.DataFrame]


def uncopied(row: int) -> Change:
    """The receive call at this position has no copy."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        bits = frame["bits"].to_numpy(copy=True)
        bits[row] = 0
        return frame.assign(bits=bits)

    return change


@pytest.mark.parametrize("row", [0, 12, 13, 20])
def test_a_receive_call_without_a_copy(copy: Copy, row: int) -> None:
    copy.recorded("recv_calls", uncopied(row))
    assert "netlink reads" in copy.bad()
    assert copy.line("netlink reads")["difference"] == 1


def test_a_message_that_was_read_but_not_queued(copy: Copy, rows: Rows) -> None:
    """Whichever it is, but the first of a socket: that may have been queued before."""
    extras = rows["extras"]
    queued = extras[(extras["point"] == RECORD_POINTS.index("queued")) & (extras["proto"] == 31)]
    (file,) = (copy.path / "extras").glob("*.parquet")
    whole = file.read_bytes()
    for number, row in enumerate(queued.index):
        file.write_bytes(whole)
        copy.recorded("extras", removed(int(row)))
        found = copy.line("messages read")
        early = number == 0
        assert found["ok"] == early, row
        assert abs(found["difference"]) == (not early)
        if early:
            assert found["note"] == "1 queued before the socket was watched"


def test_a_message_that_nobody_read_is_told(copy: Copy, rows: Rows) -> None:
    """The last read of the listener is gone."""
    calls = rows["recv_calls"]
    last = calls.index[calls["tid"] == LISTENER][-1]
    copy.recorded("recv_calls", lambda frame: frame.drop(index=last))
    for name in ("netlink reads", "messages read"):
        assert copy.line(name)["ok"]
    row = copy.line("messages read")
    assert (row["count"], row["other"]) == (21, 21)
    assert row["note"] == "1 queued, of which no read was seen"


def test_a_full_receive_queue_is_told_but_is_no_loss_of_ours() -> None:
    points = ("overrun", "queued", "overrun")
    extras = pd.DataFrame({"point": [RECORD_POINTS.index(point) for point in points]})
    reads: Any = SimpleNamespace(calls=1, filled=1, queued=1, known=1, early=0, consumed=1)
    *_others, told = reader_lines({"extras": extras}, reads)
    assert (told.line, told.count, told.ok) == ("receive queue full", 2, True)
    rows = {"extras": extras.iloc[1:2]}
    assert "receive queue full" not in [line.line for line in reader_lines(rows, reads)]
