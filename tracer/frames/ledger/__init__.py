# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger of a recording: what one witness counted, compared with what another counted.

Every line compares two independent counts of the same thing. A recording is trusted when
every line is ``ok``. If a witness is missing, its count is NA and the line is not ``ok``.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pandas as pd

from tracer.correlate.exchanges import Correlation
from tracer.frames.ledger.line import none_expected
from tracer.frames.ledger.log import entries, joins, logged, refused
from tracer.frames.ledger.module import module_lines
from tracer.frames.ledger.readers import reader_lines
from tracer.frames.ledger.records import losses, records
from tracer.frames.ledger.whole import open_calls, presence, unwatched
from tracer.frames.slack import slack_of
from tracer.recording.witnesses import lacking, whole

COLUMNS = ("line", "witness", "count", "against", "other", "difference", "ok", "note")


def balance(
    meta: dict[str, Any],
    events: pd.DataFrame,
    sends: pd.DataFrame,
    tasks: pd.DataFrame,
    correlation: Correlation,
    damage: list[str],
) -> pd.DataFrame:
    """The ledger, one row per comparison; for the columns see ``Frames.ledger``."""
    exchanges = correlation.exchanges
    gaps = lacking(meta)
    written = meta
    meta = whole(meta, gaps)
    slack = slack_of(meta, events, sends, correlation)
    lines = [
        *records(meta, events, tasks),
        *losses(meta, gaps),
        *entries(meta, sends),
        *logged(sends, exchanges, correlation, slack),
        *refused(meta),
        *module_lines(meta, events, exchanges, slack),
        *reader_lines(events, correlation.reads),
        *joins(exchanges, correlation, slack),
        *open_calls(meta),
        *presence(written, gaps),
        none_expected("segments lost", "disk", len(damage), "; ".join(damage)),
        *unwatched(meta, exchanges),
    ]
    table = pd.DataFrame([astuple(line) for line in lines], columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("count", "other", "difference"), "Int64"))
