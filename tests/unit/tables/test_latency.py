# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables behind the figures: every settled exchange is in them once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plot_doubles import crowded, varied
from report_doubles import GET, NETLINK, exchanges

from tracer.tables.latency import (
    distribution_table,
    settled,
    size_latency_table,
    time_edges,
    time_table,
)
from tracer.tables.slowest import slowest_table

TABLES = (distribution_table, time_table, size_latency_table)


@pytest.mark.parametrize("table", TABLES)
def test_every_settled_exchange_is_counted_once(table: object) -> None:
    frame = crowded().exchanges.copy()
    frame.loc[::7, "status"] = "unanswered"
    found = table(frame)  # type: ignore[operator]
    by = ["channel"] if table is time_table else ["channel", "name"]
    counted = found.groupby(by)["count"].sum().to_dict()
    assert counted == settled(frame).groupby(by).size().to_dict()


@pytest.mark.parametrize("table", TABLES)
def test_nothing_settled_makes_an_empty_table(table: object) -> None:
    frame = exchanges(23, "netlink", "x", NETLINK).assign(status="unanswered")
    for of in (frame, frame.iloc[:0]):
        assert table(of).empty  # type: ignore[operator]


def test_the_distribution_counts_what_lies_in_a_class() -> None:
    frame = exchanges(101, "netlink", "x", NETLINK)  # 200, 400, ... 20,200 ns
    found = distribution_table(frame)
    assert found["from_ns"].tolist() == [200, 500, 1000, 2000, 5000, 10_000, 20_000]
    assert found["to_ns"].tolist() == [500, 1000, 2000, 5000, 10_000, 20_000, 50_000]
    assert found["count"].tolist() == [2, 2, 5, 15, 25, 50, 2]


def test_types_share_the_classes() -> None:
    frame = pd.concat(
        [exchanges(23, "netlink", "slow", NETLINK), exchanges(3, "getsockopt", "fast", GET)]
    )
    found = distribution_table(frame)
    classes = [group["from_ns"].tolist() for _key, group in found.groupby(["channel", "name"])]
    assert classes[0] == classes[1]


def test_time_is_cut_into_equal_parts() -> None:
    frame = exchanges(101, "netlink", "x", NETLINK)  # one begins every millisecond
    found = time_table(frame, 10)
    assert found["from_ns"].tolist() == list(range(0, 100_000_000, 10_000_000))
    assert found["to_ns"].tolist() == list(range(10_000_000, 110_000_000, 10_000_000))
    assert found["count"].tolist() == [10] * 9 + [11]
    first = found.iloc[0]
    assert (first["p50_ns"], first["p99_ns"], first["max_ns"]) == (5 * 200, 2000, 2000)


def test_a_part_without_exchange_has_no_row() -> None:
    frame = exchanges(3, "netlink", "x", NETLINK)
    frame["start_ns"] = [10, 11, 1010]
    found = time_table(frame, 10)
    assert found[["from_ns", "to_ns", "count"]].to_numpy().tolist() == [
        [0, 100, 2], [900, 1000, 1],
    ]  # fmt: skip


def test_time_begins_with_the_first_exchange_of_all_as_for_the_slowest() -> None:
    frame = exchanges(5, "netlink", "x", NETLINK)
    frame.loc[[0, 4], "status"] = "unanswered"
    np.testing.assert_allclose(time_edges(frame, 3), [0, 1_000_000, 2_000_000, 3_000_000])
    parts = time_table(frame, 3)
    since = slowest_table(frame)["since_ns"]
    assert parts["from_ns"].tolist() == [1_000_000, 2_000_000]
    assert parts["count"].tolist() == [1, 2]
    assert since.sort_index().tolist() == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]


def test_one_exchange_has_one_part() -> None:
    frame = exchanges(1, "netlink", "x", NETLINK)
    assert time_table(frame)["count"].tolist() == [1]
    np.testing.assert_allclose(time_edges(frame, 2), [0, 0.5, 1])


def test_quantiles_over_time_and_by_size_are_values_that_occurred() -> None:
    frame = exchanges(200, "netlink", "x", NETLINK)
    (part,) = time_table(frame, 1).to_dict("records")
    assert [part[f"{q}_ns"] for q in ("p50", "p99", "max")] == [20_000, 39_600, 40_000]
    (size,) = size_latency_table(frame).to_dict("records")
    assert [size[f"{q}_ns"] for q in ("p10", "p50", "p90", "p99", "max")] == [
        4_000, 20_000, 36_000, 39_600, 40_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "lines"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 1000], 8),  # as classes the small ones would be one
        ([1, 2, 3, 4, 5, 6, 7, 8, 1000], 4),  # 1 to 2, 3 to 5, 6 to 8: each 2.4 times as large
        ([2**n for n in range(16)], 8),
    ],
)
def test_up_to_eight_sizes_stand_for_themselves(sizes: list[int], lines: int) -> None:
    frame = exchanges(len(sizes), "netlink", "x", NETLINK)
    frame = frame.assign(request_bytes=sizes, reply_bytes=0)
    found = size_latency_table(frame)
    assert len(found) == lines
    assert (found["from_bytes"].min(), found["to_bytes"].max()) == (1, max(sizes))


def test_few_sizes_stand_for_themselves() -> None:
    frame = exchanges(100, "netlink", "x", NETLINK)
    frame["reply_bytes"] = pd.array([28, 924] * 50, "Int64")
    found = size_latency_table(frame)
    assert found[["from_bytes", "to_bytes", "count"]].to_numpy().tolist() == [
        [128, 128, 50], [1024, 1024, 50],
    ]  # fmt: skip
    odd = sorted(frame["total_ns"][::2])
    quantiles = found.iloc[0][["p10_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns"]]
    assert quantiles.tolist() == [odd[4], odd[24], odd[44], odd[49], odd[49]]


def test_many_sizes_are_put_into_classes() -> None:
    frame = exchanges(1009, "netlink", "x", NETLINK)
    frame["request_bytes"] = pd.array(range(1009), "Int64")
    found = size_latency_table(frame, 5)
    assert len(found) <= 5
    assert (found["from_bytes"].iloc[0], found["to_bytes"].iloc[-1]) == (64, 1072)
    assert (found["from_bytes"].to_numpy()[1:] == found["to_bytes"].to_numpy()[:-1] + 1).all()


def test_an_exchange_without_a_size_counts_as_one_byte() -> None:
    run = varied({("notify", "x"): 23})
    frame = run.exchanges.assign(request_bytes=pd.NA, reply_bytes=0)
    (row,) = size_latency_table(frame).itertuples()
    assert (row.from_bytes, row.to_bytes, row.count) == (1, 1, 23)
