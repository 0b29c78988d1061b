# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers inside a send call that do not fit into it."""

from __future__ import annotations

import pytest
from event_builder import typed
from handmade import Records

from tracer.correlate.exchanges import correlate
from tracer.event import BY_UNICAST, X_SENDING
from tracer.frames.ledger.log import joins
from tracer.frames.slack import Slack


@pytest.mark.parametrize(
    ("start", "end", "astray"),
    [
        (130, 140, 0),  # an answer
        (70, 80, 0),  # of an interrupt, after the probe marked the call and before it took the time
        (70, 140, 1),  # no interrupt can last so long: an older time was taken for its begin
    ],
)
def test_an_answer_older_than_its_call_makes_a_recording_untrusted(
    start: int, end: int, astray: int
) -> None:
    records = Records()
    records.extra("queued", start, end, seq=1, type=16, source=BY_UNICAST, bits=X_SENDING)
    records.send(100, 200)
    rows = {kind: typed(kind, made) for kind, made in records.stream.rows.items()}
    found = correlate(rows, typed("sends", []), typed("tasks", []), {})
    lines = {line.line: line for line in joins(found.exchanges, found, Slack())}
    line = lines["answers older than their call"]
    assert (line.count, line.ok) == (astray, not astray)
