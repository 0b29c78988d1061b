# SPDX-License-Identifier: GPL-2.0-or-later
"""The slowest exchanges."""

from __future__ import annotations

import pandas as pd
import pytest
from plot_doubles import empty, staged
from report_doubles import GET, exchanges

from tracer.tables.slowest import program, slowest_table


def test_the_slowest_come_first() -> None:
    run = staged()
    found = slowest_table(run.exchanges, 23)
    assert len(found) == 23
    assert found["total_ns"].tolist() == sorted(run.exchanges["total_ns"], reverse=True)[:23]
    assert run.exchanges.loc[found.index, "total_ns"].tolist() == found["total_ns"].tolist()


def test_it_says_where_most_of_the_time_went() -> None:
    found = slowest_table(exchanges(23, "getsockopt", "x", GET)).iloc[0]
    assert (found["largest"], found["largest_ns"]) == ("handler", 23 * 40)
    assert found["share"] == pytest.approx(0.4)
    assert {stage: found[f"{stage}_ns"] for stage in GET} == {s: 23 * ns for s, ns in GET.items()}
    assert pd.isna(found["queue_ns"])
    assert found["since_ns"] == 22_000_000


@pytest.mark.parametrize(
    ("comm", "tid", "told"),
    [
        ("a b", 7, "a b 7"),
        ("", 7, "7"),
        ("", pd.NA, "unknown"),
        ("\x1b[31mred", 7, r"\x1b[31mred 7"),
    ],
)
def test_a_program_is_named(comm: str, tid: int, told: str) -> None:
    assert program(comm, tid) == told


def test_each_row_is_told_of_itself() -> None:
    found = slowest_table(exchanges(3, "getsockopt", "x", GET))
    assert found["largest_ns"].tolist() == [120, 80, 40]
    assert found["share"].tolist() == pytest.approx([0.4] * 3)
    assert found["since_ns"].tolist() == [2_000_000, 1_000_000, 0]


def test_what_took_no_time_has_no_share() -> None:
    found = slowest_table(exchanges(1, "getsockopt", "x", {}))
    assert found[["total_ns", "largest_ns", "share"]].iloc[0].tolist() == [0, 0, 0]


def test_unexplained_counts_as_a_stage() -> None:
    frame = exchanges(1, "getsockopt", "x", GET, unexplained_ns=1009)
    assert slowest_table(frame.assign(total_ns=1109)).iloc[0]["largest"] == "unexplained"


def test_what_has_no_length_is_left_out() -> None:
    frame = exchanges(3, "getsockopt", "x", GET)
    frame["total_ns"] = pd.array([5, None, 7], "Int64")
    assert slowest_table(frame).index.tolist() == [2, 0]


def test_an_empty_run_has_none() -> None:
    assert slowest_table(empty().exchanges).empty
