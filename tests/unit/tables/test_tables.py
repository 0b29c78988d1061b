# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers of a report."""

from __future__ import annotations

import pandas as pd
import pytest
from report_doubles import GET, META, NETLINK, exchanges, run, untrusted

from tracer import tables


def test_what_a_program_is_called_cannot_take_the_terminal() -> None:
    """An argument may be any bytes; those that are no text arrive as lone surrogates."""
    told = tables.facts(run(meta=META | {"command": ["p\udcff", "\x1b[2J\n", "é…"]}))
    assert told["command"] == r"'p\udcff' '\x1b[2J\n' 'é…'"


def test_stages_are_in_the_order_of_the_path() -> None:
    found = tables.stage_table(run().exchanges)
    gets = found[found["channel"] == "getsockopt"]
    assert gets["stage"].tolist() == [*GET, "unexplained", "total"]
    echoes = found[found["channel"] == "netlink"]
    assert echoes["stage"].tolist() == [*NETLINK, "unexplained", "total"]


def test_quantiles_are_values_that_occurred() -> None:
    found = tables.stage_table(exchanges(101, "netlink", "msgchan echo", NETLINK))
    handler = found[found["stage"] == "handler"].iloc[0]
    assert handler["count"] == 101
    assert handler["p50_ns"] == 51 * 50
    assert handler["p90_ns"] == 91 * 50
    assert handler["p99_ns"] == 100 * 50
    assert handler["max_ns"] == 101 * 50
    assert handler["share"] == pytest.approx(0.25)


def test_the_shares_of_stages_and_unexplained_make_the_whole() -> None:
    frame = exchanges(23, "getsockopt", "msgchan request", GET)
    frame["unexplained_ns"] += 7
    frame["total_ns"] += 7
    found = tables.stage_table(frame)
    parts = found[found["stage"] != "total"]
    assert parts["share"].sum() == pytest.approx(1)
    assert found[found["stage"] == "total"]["share"].tolist() == [1]


def test_unsettled_exchanges_stay_out_of_the_stages_and_in_the_outcomes() -> None:
    frame = exchanges(23, "netlink", "msgchan echo", NETLINK)
    frame.loc[0, "status"] = "unmatched_user"
    frame.loc[1, "status"] = "error"
    assert set(tables.stage_table(frame)["count"]) == {22}
    (outcome,) = tables.outcome_table(frame).itertuples()
    assert outcome.count == 23
    assert outcome.status == "ok 21, unmatched_user 1, error 1"
    assert outcome.match == "exact 23"


def test_a_stage_that_was_not_seen_has_no_row() -> None:
    frame = exchanges(23, "netlink", "msgchan echo", NETLINK)
    frame.loc[:6, "wake_ns"] = pd.NA
    found = tables.stage_table(frame).set_index("stage")
    assert found.loc["wake", "count"] == 16
    assert "exit" not in found.index


def test_sizes_and_rates() -> None:
    frame = exchanges(101, "netlink", "msgchan echo", NETLINK)
    frame["reply_bytes"] = pd.array(range(101), "Int64")
    found = tables.size_table(frame).set_index("size")
    reply = found.loc["reply_bytes"]
    assert (reply["p50"], reply["p99"], reply["max"], reply["total"]) == (50, 99, 100, 5050)
    assert reply["per_second"] == pytest.approx(101 / (0.1 + 101 * 200e-9))


def test_one_exchange_has_no_rate() -> None:
    assert tables.size_table(exchanges(1, "netlink", "x", NETLINK))["per_second"].isna().all()


def test_no_exchanges_make_empty_tables() -> None:
    nothing = exchanges(1, "netlink", "x", NETLINK).iloc[:0]
    assert tables.stage_table(nothing).empty
    assert tables.size_table(nothing).empty
    assert tables.outcome_table(nothing).empty


def test_reasons_name_the_line() -> None:
    assert tables.reasons(run()) == []
    assert tables.reasons(untrusted()) == [
        "handler calls: module 1,234,567, probe 1,234,566, difference +1 (303 of others)"
    ]


def test_losses_name_point_and_cause() -> None:
    made = run(
        damage=["events/000001.parquet: segment lost"],
        meta={
            "accounts": {"netlink_unicast": {"emitted": 2, "lost": 1009, "missed": 0}},
            "losses": {"recursion_misses": 3, "kprobe_misses": 0},
        },
    )
    assert tables.losses(made) == [
        "events/000001.parquet: segment lost",
        "netlink_unicast: 1,009 lost",
        "recursion_misses: 3",
    ]


def test_the_duration_spans_both_sides() -> None:
    events = pd.DataFrame({"start_ns": [300, 200, 250], "end_ns": [800, 400, 900]})
    sends = pd.DataFrame({"begin_ns": [150, 100], "end_ns": [160, 700]})
    assert tables.duration_ns(run(events=events, sends=sends)) == 900 - 100
    late = sends + 1000
    assert tables.duration_ns(run(events=events, sends=late)) == 1700 - 200
    assert tables.duration_ns(run(events=events.iloc[:0], sends=sends)) == 700 - 100
    assert tables.duration_ns(run(sends=run().sends.iloc[:0])) == 0


def test_types_are_in_the_order_of_channels_the_most_time_first() -> None:
    frame = pd.concat(
        [
            exchanges(2, "netlink", "a", NETLINK),
            exchanges(3, "netlink", "b", NETLINK),
            exchanges(1, "getsockopt", "c", GET),
        ],
        ignore_index=True,
    )
    assert [key for key, _group in tables.groups(frame)] == [
        ("getsockopt", "c"), ("netlink", "b"), ("netlink", "a"),
    ]  # fmt: skip


def test_two_exchanges_have_a_rate() -> None:
    found = tables.size_table(exchanges(2, "netlink", "x", NETLINK))
    assert found["per_second"].tolist() == pytest.approx([2 / (0.001 + 400e-9)] * len(found))


def test_distrust_without_a_line_is_said() -> None:
    made = run()
    made.trusted = False
    assert tables.reasons(made) == ["no line of the ledger says why"]


def test_the_header_tells_a_recordings_length_in_seconds() -> None:
    assert tables.facts(run())["duration"] == "2.500 s"
    sends = pd.DataFrame({"begin_ns": [0], "end_ns": [4_000 * 10**9]})
    assert tables.facts(run(sends=sends))["duration"] == "4,000.000 s"


def test_the_median_exchange_occurred() -> None:
    found = tables.median_table(run().exchanges)
    assert found.index.tolist() == [101 + 11, 50]
    assert found["total_ns"].tolist() == [12 * 100, 51 * 200]
    assert tables.lengths(found.loc[50]) == {stage: 51 * ns for stage, ns in NETLINK.items()}


def test_unexplained_is_told_where_there_is_some() -> None:
    frame = exchanges(3, "getsockopt", "x", GET)
    frame.loc[1, "unexplained_ns"] = 7
    assert list(tables.lengths(frame.loc[1])) == [*GET, "unexplained"]
    assert list(tables.lengths(frame.loc[2])) == [*GET]


def test_the_facts_name_module_and_clock() -> None:
    clock = {"name": "CLOCK_MONOTONIC", "source": "tsc", "deterministic": True}
    found = tables.facts(run(meta={"clock": clock, "module": {"build_id": "48c037aab4dc57"}}))
    assert found["module"] == "msgchan, build 48c037aab4dc"
    assert found["clock"] == "CLOCK_MONOTONIC from tsc, counts instructions"
    assert tables.facts(run())["module"] == "none"
