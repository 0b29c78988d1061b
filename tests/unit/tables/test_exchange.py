# SPDX-License-Identifier: GPL-2.0-or-later
"""One exchange followed through."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from plot_doubles import staged
from report_doubles import NETLINK

from tracer.run import load
from tracer.tables.exchange import follow, observations

RECORDING = Path(__file__).parents[2] / "data" / "all-channels"


def test_stages_follow_each_other_and_add_up() -> None:
    run = load(RECORDING)
    for row in (0, 30, 60, 116):
        table = follow(run, row)
        parts = table.drop(index="total")
        assert parts["dur_ns"].sum() == table.loc["total", "dur_ns"]
        assert parts["share"].sum() == pytest.approx(1)
        stages = parts.drop(index="unexplained")
        assert stages["since_ns"].tolist() == [0, *stages["dur_ns"].cumsum()[:-1]]


def test_it_is_compared_with_its_own_type() -> None:
    run = staged()  # of echo i every stage takes i + 1 times as long as of echo 0; gets differ
    table = follow(run, 100)
    for stage, base in NETLINK.items():
        assert table.loc[stage, "usual_ns"] == 51 * base
        assert table.loc[stage, "more_ns"] == 50 * base
    assert "entry" not in table.index


def test_unsettled_exchanges_are_not_usual() -> None:
    run = staged()
    run.exchanges.loc[:49, "status"] = "partial"
    assert follow(run, 100).loc["handler", "usual_ns"] == 76 * NETLINK["handler"]
    with pytest.raises(KeyError):
        follow(run, 1009)


def test_a_stage_that_came_twice_began_when_it_first_did() -> None:
    run = staged()
    again = run.stages[(run.stages["exchange"] == 0) & (run.stages["stage"] == "copy")]
    run.stages = pd.concat([run.stages, again.assign(occurrence=1, start_ns=1_000_900)])
    table = follow(run, 0)
    assert table.loc["copy", "since_ns"] == 10 + 20 + 5 + 50 + 15 + 40 + 30
    assert table.loc["total", "since_ns"] == 0


def test_what_was_seen_lies_within_the_exchange() -> None:
    run = load(RECORDING)
    one = run.exchanges.iloc[5]
    seen = observations(run, 5)
    assert seen["since_ns"].is_monotonic_increasing
    assert (seen["since_ns"] >= 0).all()
    assert (seen["since_ns"] + seen["dur_ns"]).max() == one["total_ns"]
    assert seen[seen["witness"] == "program"]["point"].tolist() == ["send", "receive"]
    assert seen[seen["witness"] == "probe"]["point"].tolist() == [
        "netlink_sendmsg", "netlink_unicast", "msgchan_handler", "netlink_unicast",
        "__netlink_sendskb", "netlink_recvmsg", "skb_copy_datagram_iter",
    ]  # fmt: skip
    handler = seen[seen["point"] == "msgchan_handler"].iloc[0]
    assert handler["dur_ns"] == one["handler_ns"]


def test_another_threads_calls_are_left_out() -> None:
    run = load(RECORDING)
    other = run.exchanges.assign(tid=run.exchanges["tid"] + 1)

    class Other:
        exchanges, events, sends = other, run.events, run.sends

    assert observations(Other(), 5).empty  # type: ignore[arg-type]


def test_an_exchange_of_unknown_length_has_no_observation() -> None:
    run = load(RECORDING)
    run.exchanges["total_ns"] = run.exchanges["total_ns"].astype("Int64")
    run.exchanges.loc[5, "total_ns"] = pd.NA
    assert observations(run, 5).empty
