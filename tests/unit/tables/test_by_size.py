# SPDX-License-Identifier: GPL-2.0-or-later
"""Stages by size."""

from __future__ import annotations

import pandas as pd
from report_doubles import GET, NETLINK, exchanges

from tracer.tables.by_size import stages_by_size


def frame() -> pd.DataFrame:
    small = exchanges(3, "netlink", "msgchan echo", NETLINK)
    large = exchanges(5, "netlink", "msgchan echo", NETLINK, request_bytes=4096)
    lost = exchanges(9, "netlink", "msgchan echo", NETLINK, status="partial")
    get = exchanges(7, "getsockopt", "msgchan request", GET)
    return pd.concat([large, lost, get, small], ignore_index=True)


def test_one_row_for_each_size_with_medians() -> None:
    table = stages_by_size(frame(), "netlink")
    assert table["count"].to_dict() == {("msgchan echo", 164): 3, ("msgchan echo", 4160): 5}
    for stage, base in NETLINK.items():
        assert table[stage].tolist() == [2 * base, 3 * base]
    assert table["total"].tolist() == [2 * sum(NETLINK.values()), 3 * sum(NETLINK.values())]


def test_stages_that_a_channel_has_not_are_left_out() -> None:
    assert list(stages_by_size(frame(), "getsockopt")) == ["count", *GET, "total"]


def test_a_stage_that_some_exchanges_lack_is_the_median_of_the_others() -> None:
    get = exchanges(3, "getsockopt", "msgchan request", GET)
    get.loc[0, "copy_ns"] = pd.NA
    assert stages_by_size(get, "getsockopt")["copy"].tolist() == [2 * GET["copy"]]


def test_a_request_without_reply_counts_its_own_bytes() -> None:
    sink = exchanges(3, "setsockopt", "msgchan request", GET, reply_bytes=pd.NA)
    assert stages_by_size(sink, "setsockopt").index.tolist() == [("msgchan request", 100)]
