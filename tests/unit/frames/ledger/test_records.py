# SPDX-License-Identifier: GPL-2.0-or-later
"""Each record that is lost, repeated or moved in time has its line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from recording_copies import (
    POINTS,
    Change,
    Copy,
    bad_lines,
    duplicated,
    middle,
    moved,
    removed,
)


def records(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("records of ")]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("damage", [removed, duplicated])
def test_one_event_too_few_or_too_many(
    copy: Copy, events: pd.DataFrame, point: str, damage: Callable[[int], Change]
) -> None:
    copy.rows("events", damage(middle(events["point"] == point)))
    run = copy.load()
    assert not run.trusted
    assert records(bad_lines(run)) == [f"records of {point}"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("ns", [1, -1, 1_000_000])
@pytest.mark.parametrize("columns", [("start_ns",), ("end_ns",), ("start_ns", "end_ns")])
def test_one_event_moved_in_time(
    copy: Copy, events: pd.DataFrame, point: str, ns: int, columns: tuple[str, ...]
) -> None:
    copy.rows("events", moved(middle(events["point"] == point), ns, *columns))
    run = copy.load()
    assert not run.trusted
    assert records(bad_lines(run)) == [f"records of {point}"]
    told = run.ledger.set_index("line").loc[f"records of {point}", "note"]
    assert told == f"times differ by {ns * len(columns)} ns in sum"


def test_records_of_which_no_probe_gives_account(copy: Copy) -> None:
    copy.meta(lambda meta: meta["accounts"].pop("poll"))
    lines = ["records of poll", "ring full", "returns missed", "witnesses missing"]
    assert bad_lines(copy.load()) == lines
    told = copy.line("records of poll")
    assert (pd.isna(told["count"]), told["other"], pd.isna(told["difference"])) == (True, 1, True)
    assert told["note"] == "unknown: meta.json lacks it"
    assert copy.line("witnesses missing")["note"] == "accounts.poll"


def test_a_task_removed_or_moved(copy: Copy) -> None:
    copy.rows("tasks", moved(0, 1, "start_ns"))
    assert bad_lines(copy.load()) == ["records of task"]
    copy.rows("tasks", removed(0))
    assert bad_lines(copy.load()) == ["records of task"]


@pytest.mark.parametrize(("key", "name"), [("lost", "ring full"), ("missed", "returns missed")])
def test_losses_that_the_probes_counted(copy: Copy, key: str, name: str) -> None:
    copy.meta(lambda meta: meta["accounts"]["sendto"].update({key: 3}))
    assert bad_lines(copy.load()) == [name]
    row = copy.line(name)
    assert row["count"] == 3
    assert "sendto 3" in row["note"]


@pytest.mark.parametrize("site", ["breakpoint", "relay"])
def test_a_breakpoint_loses_copies_without_a_full_ring(copy: Copy, site: str) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["plan"] = [row for row in meta["plan"] if row["point"] != "copy_to_user"]
        meta["plan"].append({"point": "copy_to_user", "site": site, "target": "", "reason": ""})
        meta["accounts"]["copy_to_user"] = {"emitted": 0, "lost": 2, "time_sum": 0, "missed": 0}

    copy.meta(change)
    note = copy.line("ring full")["note"]
    assert note.startswith("copy_to_user 2; use a larger --ring-size")
    assert ("a breakpoint also loses" in note) == (site == "breakpoint")


@pytest.mark.parametrize(
    ("key", "name"),
    [("recursion_misses", "recursion misses"), ("kprobe_misses", "kprobe misses")],
)
def test_losses_that_the_kernel_counted(copy: Copy, key: str, name: str) -> None:
    copy.meta(lambda meta: meta["losses"].update({key: 2}))
    assert bad_lines(copy.load()) == [name]


def test_records_that_nobody_understood(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(not_understood={"count": 2, "first": "kind 0, point 0"}))
    assert bad_lines(copy.load()) == ["records not understood"]
    row = copy.line("records not understood")
    assert (row["count"], row["note"]) == (2, "kind 0, point 0")
