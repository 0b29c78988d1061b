# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time of each type of exchange went."""

from __future__ import annotations

import pandas as pd
import pytest
from report_doubles import GET, NETLINK, exchanges, run

from tracer import tables


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


def test_a_stage_that_was_not_seen_has_no_row() -> None:
    frame = exchanges(23, "netlink", "msgchan echo", NETLINK)
    frame.loc[:6, "wake_ns"] = pd.NA
    found = tables.stage_table(frame).set_index("stage")
    assert found.loc["wake", "count"] == 16
    assert "exit" not in found.index


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
