# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables together."""

from __future__ import annotations

from report_doubles import NETLINK, exchanges

from tracer import tables


def test_no_exchanges_make_empty_tables() -> None:
    nothing = exchanges(1, "netlink", "x", NETLINK).iloc[:0]
    assert tables.stage_table(nothing).empty
    assert tables.size_table(nothing).empty
    assert tables.outcome_table(nothing).empty
