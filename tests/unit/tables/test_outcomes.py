# SPDX-License-Identifier: GPL-2.0-or-later
"""How exchanges ended, and why a run cannot be trusted."""

from __future__ import annotations

from report_doubles import NETLINK, exchanges, run, untrusted

from tracer import tables


def test_unsettled_exchanges_stay_out_of_the_stages_and_in_the_outcomes() -> None:
    frame = exchanges(23, "netlink", "msgchan echo", NETLINK)
    frame.loc[0, "status"] = "unmatched_user"
    frame.loc[1, "status"] = "error"
    assert set(tables.stage_table(frame)["count"]) == {22}
    (outcome,) = tables.outcome_table(frame).itertuples()
    assert outcome.count == 23
    assert outcome.status == "ok 21, unmatched_user 1, error 1"
    assert outcome.match == "nested 23"


def test_reasons_name_the_line() -> None:
    assert tables.reasons(run()) == []
    assert tables.reasons(untrusted()) == [
        "handler calls: module 1,234,567, probe 1,234,566, difference +1 (303 of others)"
    ]


def test_losses_name_point_and_cause() -> None:
    made = run(
        damage=["send_calls/000001.parquet: segment lost"],
        meta={
            "accounts": {"send": {"emitted": 2, "lost": 1009, "missed": 0}},
            "losses": {"recursion_misses": 3, "kprobe_misses": 0},
        },
    )
    assert tables.losses(made) == [
        "send_calls/000001.parquet: segment lost",
        "send: 1,009 lost",
        "recursion_misses: 3",
    ]


def test_distrust_without_a_line_is_said() -> None:
    made = run()
    made.trusted = False
    assert tables.reasons(made) == ["no line of the ledger says why"]
