# SPDX-License-Identifier: GPL-2.0-or-later
"""How large messages were, and how many came per second."""

from __future__ import annotations

import pandas as pd
import pytest
from report_doubles import NETLINK, exchanges

from tracer import tables


def test_sizes_and_rates() -> None:
    frame = exchanges(101, "netlink", "msgchan echo", NETLINK)
    frame["reply_bytes"] = pd.array(range(101), "Int64")
    found = tables.size_table(frame).set_index("size")
    reply = found.loc["reply_bytes"]
    assert (reply["p50"], reply["p99"], reply["max"], reply["total"]) == (50, 99, 100, 5050)
    assert reply["per_second"] == pytest.approx(101 / (0.1 + 101 * 200e-9))


def test_one_exchange_has_no_rate() -> None:
    assert tables.size_table(exchanges(1, "netlink", "x", NETLINK))["per_second"].isna().all()


def test_two_exchanges_have_a_rate() -> None:
    found = tables.size_table(exchanges(2, "netlink", "x", NETLINK))
    assert found["per_second"].tolist() == pytest.approx([2 / (0.001 + 400e-9)] * len(found))
