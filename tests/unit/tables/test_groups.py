# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges by their type."""

from __future__ import annotations

import pandas as pd
from report_doubles import GET, NETLINK, exchanges

from tracer import tables


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
