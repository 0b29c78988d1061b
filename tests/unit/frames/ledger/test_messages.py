# SPDX-License-Identifier: GPL-2.0-or-later
"""Which messages the records hold, in the records of calls and beside them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from channels_builder import BUFFER, DUMPER, ECHOES, ICMP, LISTENER, NOTICES
from run_builder import PORT

from tracer.event import S_HEADLESS
from tracer.frames.ledger.messages import extras_of, queued_messages, sent_messages

Rows = Mapping[str, pd.DataFrame]


def test_every_message_that_was_sent(rows: Rows) -> None:
    sent = sent_messages(rows)
    counts = sent["portid"].value_counts().to_dict()
    assert counts == {PORT: ECHOES, BUFFER: 3, LISTENER: 1, DUMPER: 1}
    buffer = sent[sent["portid"] == BUFFER].sort_values("seq")
    assert buffer["size"].tolist() == [64, 48, 64]
    assert buffer["ret"].tolist() == [112, 112, 64]


def test_a_buffer_without_a_message_is_none(rows: Rows) -> None:
    calls = rows["send_calls"].copy()
    calls["bits"] |= S_HEADLESS
    assert sent_messages({**rows, "send_calls": calls})["seq"].tolist() == [2]


def test_what_was_sent_to_a_process_is_left_out(rows: Rows) -> None:
    """With all further messages of the same buffer."""
    calls = rows["send_calls"].copy()
    calls.loc[calls["portid"] == BUFFER, "dst"] = 9
    sent = sent_messages({**rows, "send_calls": calls})
    assert BUFFER not in sent["portid"].tolist()
    assert len(sent) == ECHOES + 2


def test_a_message_whose_call_was_open_has_no_result(rows: Rows) -> None:
    calls = rows["send_calls"]
    sent = sent_messages({**rows, "send_calls": calls[calls["portid"] != BUFFER]})
    (left,) = sent[sent["portid"] == BUFFER].to_dict("records")
    assert (left["seq"], pd.isna(left["ret"])) == (2, True)


def test_every_message_that_was_queued(rows: Rows) -> None:
    queued = queued_messages(rows)
    counts = queued.groupby(["proto", "portid"]).size().to_dict()
    assert counts == {(30, PORT): ECHOES, (30, BUFFER): 3, (ICMP, LISTENER): NOTICES, (0, 104): 2}
    assert queued[queued["portid"] == BUFFER].sort_values("seq")["type"].tolist() == [32, 32, 2]
    begun = queued[queued["begins_dump"]]
    assert begun[["portid", "seq", "type"]].values.tolist() == [[DUMPER, 9, 16]]


def test_what_a_process_sent_to_another_is_not_queued_here(rows: Rows) -> None:
    calls = rows["send_calls"].assign(dst=9)
    assert len(queued_messages({**rows, "send_calls": calls})) == NOTICES + 2 + 1


def test_the_extras_of_a_point(rows: Rows) -> None:
    assert extras_of(rows, "message")["size"].tolist() == [48]
    assert len(extras_of(rows, "queued")) == NOTICES + 2 + 1
    assert extras_of(rows, "overrun").empty


def test_a_recording_of_nothing(rows: Rows) -> None:
    empty = {kind: frame.iloc[:0] for kind, frame in rows.items()}
    assert sent_messages(empty).empty
    assert queued_messages(empty).empty
