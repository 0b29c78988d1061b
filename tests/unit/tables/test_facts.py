# SPDX-License-Identifier: GPL-2.0-or-later
"""What a report's header says."""

from __future__ import annotations

import pandas as pd
from report_doubles import META, run

from tracer import tables


def test_what_a_program_is_called_cannot_take_the_terminal() -> None:
    """An argument may be any bytes; those that are no text arrive as lone surrogates."""
    told = tables.facts(run(meta=META | {"command": ["p\udcff", "\x1b[2J\n", "é…"]}))
    assert told["command"] == r"'p\udcff' '\x1b[2J\n' 'é…'"


def test_the_duration_spans_both_sides() -> None:
    events = pd.DataFrame({"start_ns": [300, 200, 250], "end_ns": [800, 400, 900]})
    sends = pd.DataFrame({"begin_ns": [150, 100], "end_ns": [160, 700]})
    assert tables.duration_ns(run(events=events, sends=sends)) == 900 - 100
    late = sends + 1000
    assert tables.duration_ns(run(events=events, sends=late)) == 1700 - 200
    assert tables.duration_ns(run(events=events.iloc[:0], sends=sends)) == 700 - 100
    assert tables.duration_ns(run(sends=run().sends.iloc[:0])) == 0


def test_the_header_tells_a_recordings_length_in_seconds() -> None:
    assert tables.facts(run())["duration"] == "2.500 s"
    sends = pd.DataFrame({"begin_ns": [0], "end_ns": [4_000 * 10**9]})
    assert tables.facts(run(sends=sends))["duration"] == "4,000.000 s"


def test_the_facts_name_module_and_clock() -> None:
    clock = {"name": "CLOCK_MONOTONIC", "source": "tsc", "deterministic": True}
    found = tables.facts(run(meta={"clock": clock, "module": {"build_id": "48c037aab4dc57"}}))
    assert found["module"] == "msgchan, build 48c037aab4dc"
    assert found["clock"] == "CLOCK_MONOTONIC from tsc, counts instructions"
    assert tables.facts(run())["module"] == "none"
