# SPDX-License-Identifier: GPL-2.0-or-later
"""Each record that is lost, repeated or changed on its way to the disk has its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recording_copies import Change, Copy, duplicated, removed

from tracer.event import POINTS_OF_KIND, RECORD_POINTS
from tracer.frames.ledger.records import rows_of
from tracer.recording import RECORD_KINDS, SCHEMAS, no_rows, row_sum

#: The points of which the recording has records, with the kind of their rows.
KIND_OF = {
    RECORD_POINTS[point]: kind
    for kind, number in RECORD_KINDS.items()
    for point in POINTS_OF_KIND[number]
    if RECORD_POINTS[point] != "overrun"
}


@pytest.mark.parametrize("point", KIND_OF)
@pytest.mark.parametrize("by", [1, -1])
def test_a_record_that_did_not_come_through_the_ring(copy: Copy, point: str, by: int) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["accounts"][point]["emitted"] += by

    copy.meta(change)
    assert copy.bad() == [f"records of {point}"]
    assert copy.line(f"records of {point}")["difference"] == by


@pytest.mark.parametrize("point", KIND_OF)
def test_a_record_that_changed_in_the_ring(copy: Copy, point: str) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["decoded"][point]["checksum"] ^= 1

    copy.meta(change)
    assert copy.bad() == [f"records of {point}"]
    assert copy.line(f"records of {point}")["note"] == "their checksums differ"


@pytest.mark.parametrize("point", KIND_OF)
def test_a_record_of_which_the_decoder_made_no_row(copy: Copy, point: str) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["decoded"][point]["count"] += 1
        meta["accounts"][point]["emitted"] += 1

    copy.meta(change)
    name = f"rows of {KIND_OF[point]}"
    assert copy.bad() == [name]
    made = copy.line(name)["count"]
    assert copy.line(name)["note"] == f"they were made of {made + 1} records"


def disk(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("records of ", "rows of "))]


@pytest.mark.parametrize("kind", RECORD_KINDS)
@pytest.mark.parametrize("damage", [removed, duplicated])
def test_one_row_too_few_or_too_many(
    copy: Copy, kind: str, damage: Callable[[int], Change]
) -> None:
    copy.rows(kind, damage(1))
    assert disk(copy.bad()) == [f"rows of {kind}"]


def told(rows: Mapping[str, pd.DataFrame], changed: Mapping[str, pd.DataFrame]) -> list[str]:
    """The lines of rows that are not ok when ``rows`` were recorded and ``changed`` is there."""
    sums = {kind: row_sum(kind, rows[kind]) for kind in RECORD_KINDS}
    meta: dict[str, Any] = {"clean": True, "rows": sums, "decoded": {}}
    return [line.line for line in rows_of(meta, changed) if not line.ok]


def columns() -> Iterator[tuple[str, str]]:
    for kind in RECORD_KINDS:
        for column in SCHEMAS[kind].names:
            yield kind, column


@pytest.mark.parametrize(("kind", "column"), [*columns()])
def test_any_value_that_changed_on_the_disk(
    rows: Mapping[str, pd.DataFrame], kind: str, column: str
) -> None:
    """A size, a result, a thread, a buffer, a name: by as little as there is."""
    assert told(rows, rows) == []
    changed = rows[kind].copy()
    values = changed[column].to_numpy(copy=True)
    values[-1] = f"{values[-1]}x" if values.dtype == object else values[-1] ^ 1
    assert told(rows, {**rows, kind: changed.assign(**{column: values})}) == [f"rows of {kind}"]


@pytest.mark.parametrize(("kind", "column"), [*columns()])
def test_values_that_two_rows_exchanged(
    rows: Mapping[str, pd.DataFrame], kind: str, column: str
) -> None:
    """Their sum is the same, and so is everything that is counted."""
    values = rows[kind][column].to_numpy(copy=True)
    others = np.flatnonzero(values != values[0])
    if others.size == 0:
        return
    values[[0, others[0]]] = values[[others[0], 0]]
    changed = {**rows, kind: rows[kind].assign(**{column: values})}
    assert told(rows, changed) == [f"rows of {kind}"]


def test_rows_in_another_order_are_the_same_rows(rows: Mapping[str, pd.DataFrame]) -> None:
    assert told(rows, {kind: frame.iloc[::-1] for kind, frame in rows.items()}) == []


def test_rows_that_nobody_declared(rows: Mapping[str, pd.DataFrame]) -> None:
    meta: dict[str, Any] = {"clean": True, "rows": no_rows(), "decoded": {}}
    found = {line.line: line for line in rows_of(meta, rows)}
    assert found.keys() == {f"rows of {kind}" for kind in RECORD_KINDS}
    assert not any(line.ok for line in found.values())
    unknown = list(rows_of({"clean": True, "rows": {}, "decoded": {}}, rows))
    assert [line.count for line in unknown] == [None] * len(RECORD_KINDS)


def test_records_of_which_no_probe_gives_account(copy: Copy) -> None:
    copy.meta(lambda meta: meta["accounts"].pop("poll"))
    lines = ["records of poll", "ring full", "returns missed", "witnesses missing"]
    assert copy.bad() == lines
    told = copy.line("records of poll")
    assert (pd.isna(told["count"]), told["other"], pd.isna(told["difference"])) == (True, 1, True)
    assert told["note"] == "unknown: meta.json lacks it"
    assert copy.line("witnesses missing")["note"] == "accounts.poll"


def test_records_of_a_point_that_the_plan_does_not_watch(copy: Copy) -> None:
    def change(meta: dict[str, Any]) -> None:
        for row in meta["plan"]:
            if row["point"] == "poll":
                row["site"] = "absent"

    copy.meta(change)
    assert copy.bad() == ["records of poll"]
    assert copy.line("records of poll")["note"] == "the plan does not watch it"


@pytest.mark.parametrize(("key", "name"), [("lost", "ring full"), ("missed", "returns missed")])
def test_losses_that_the_probes_counted(copy: Copy, key: str, name: str) -> None:
    copy.meta(lambda meta: meta["accounts"]["send"].update({key: 3}))
    assert copy.bad() == [name]
    row = copy.line(name)
    assert row["count"] == 3
    assert "send 3" in row["note"]


@pytest.mark.parametrize("site", ["breakpoint", "relay"])
def test_a_breakpoint_loses_copies_without_a_full_ring(copy: Copy, site: str) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["plan"] = [row for row in meta["plan"] if row["point"] != "copy_to_user"]
        meta["plan"].append({"point": "copy_to_user", "site": site, "target": "", "reason": ""})
        meta["accounts"]["copy"]["lost"] = 2

    copy.meta(change)
    note = copy.line("ring full")["note"]
    assert note.startswith("copy 2; use a larger --ring-size")
    assert ("a breakpoint also loses" in note) == (site == "breakpoint")


@pytest.mark.parametrize(
    ("key", "name"),
    [("recursion_misses", "recursion misses"), ("kprobe_misses", "kprobe misses")],
)
def test_losses_that_the_kernel_counted(copy: Copy, key: str, name: str) -> None:
    copy.meta(lambda meta: meta["losses"].update({key: 2}))
    assert copy.bad() == [name]


def test_records_that_nobody_understood(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(not_understood={"count": 2, "first": "kind 0, point 0"}))
    assert copy.bad() == ["records not understood"]
    row = copy.line("records not understood")
    assert (row["count"], row["note"]) == (2, "kind 0, point 0")
