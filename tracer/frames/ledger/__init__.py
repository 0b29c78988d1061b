# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger of a recording: what one witness counted, compared with what another counted.

Every line compares two independent counts of the same thing. A recording is trusted when
every line is ``ok``. If a witness is missing, its count is NA and the line is not ``ok``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple
from typing import Any

import pandas as pd

from tracer.correlate.exchanges import Correlation
from tracer.frames.ledger.answers import answer_line
from tracer.frames.ledger.line import Line, none_expected
from tracer.frames.ledger.log import entries, joins, logged, refused
from tracer.frames.ledger.module import module_lines
from tracer.frames.ledger.readers import reader_lines
from tracer.frames.ledger.records import losses, records, rows_of
from tracer.frames.ledger.sizes import bytes_logged, bytes_sent
from tracer.frames.ledger.whole import open_calls, presence, unwatched
from tracer.frames.slack import slack_of
from tracer.recording import KINDS, Recording
from tracer.recording.witnesses import lacking, whole

COLUMNS = ("line", "witness", "count", "against", "other", "difference", "ok", "note")


def balance(recording: Recording, correlation: Correlation) -> pd.DataFrame:
    """The ledger, one row per comparison; for the columns see ``Frames.ledger``."""
    rows = {kind: getattr(recording, kind) for kind in KINDS}
    found = lines(recording.meta, rows, correlation, recording.damage)
    table = pd.DataFrame([astuple(line) for line in found], columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("count", "other", "difference"), "Int64"))


def lines(
    meta: dict[str, Any],
    rows: Mapping[str, pd.DataFrame],
    correlation: Correlation,
    damage: list[str],
) -> Iterator[Line]:
    """The lines of the ledger, in its order; ``rows`` are those of the recording by kind."""
    exchanges, sends = correlation.exchanges, rows["sends"]
    gaps = lacking(meta)
    written = meta
    meta = whole(meta, gaps)
    slack = slack_of(meta, rows, correlation)
    yield from records(meta, rows)
    yield from rows_of(meta, rows)
    yield from losses(meta, gaps)
    yield from entries(meta, sends)
    yield from logged(sends, correlation, slack)
    yield from bytes_logged(sends, exchanges)
    yield from bytes_sent(rows)
    yield from answer_line(meta, rows, correlation)
    yield from refused(meta)
    yield from module_lines(meta, rows, slack)
    yield from reader_lines(rows, correlation.reads)
    yield from joins(exchanges, correlation, slack)
    yield from open_calls(meta)
    yield from presence(written, gaps)
    yield none_expected("segments lost", "disk", len(damage), "; ".join(damage))
    yield from unwatched(meta, exchanges)
