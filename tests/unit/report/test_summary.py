# SPDX-License-Identifier: GPL-2.0-or-later
"""The report as JSON."""

from __future__ import annotations

import json
from typing import Any

from page_reader import Reader
from plot_doubles import crowded, empty
from recording_copies import ALL_CHANNELS
from report_doubles import untrusted

import tracer
from tracer.report.html import page
from tracer.report.summary import summary

#: A section of the page, and the part of the JSON that says the same.
PARTS = {
    "overview": "stages",
    "stages": "medians",
    "distribution": "distribution",
    "heatmap": "over_time",
    "sizes": "sizes",
    "slowest": "slowest",
    "outcomes": "outcomes",
    "ledger": "ledger",
    "plan": "plan",
}


def plain(run: Any) -> Any:
    return json.loads(json.dumps(summary(run), allow_nan=False))


def test_the_summary_is_json() -> None:
    found = plain(untrusted())
    assert found["trusted"] is False
    assert found["reasons"]
    assert found["command"][0] == "tracer"
    assert {row["stage"] for row in found["stages"]} >= {"encode", "total"}
    assert found["ledger"][1]["difference"] == 1


def test_single_exchanges_have_their_stages() -> None:
    found = plain(crowded())
    assert len(found["slowest"]) == 20
    assert found["slowest"][0]["total_ns"] > 9_000_000_000
    assert found["slowest"][0]["largest"] == "handler"
    for one in (*found["slowest"], *found["medians"]):
        assert sum(one["stages"].values()) == one["total_ns"]
        assert crowded().exchanges.loc[one["row"], "name"] == one["name"]


def test_the_lab_says_what_the_frames_do() -> None:
    run = tracer.load(ALL_CHANNELS)
    found = plain(run)
    for part in ("distribution", "over_time", "latency_by_size"):
        assert sum(row["count"] for row in found[part]) == len(run.exchanges), part
    assert found["slowest"][0]["comm"] == "tracer"
    assert found["machine"] == "x86_64"
    assert found["sizes"][-1]["per_second"] > 0
    register = next(row for row in found["sizes"] if row["name"] == "msgchan register")
    assert register["per_second"] is None


def test_it_has_a_part_for_every_section_of_the_page() -> None:
    read = Reader(page(crowded()))
    assert list(PARTS) == [section for section in read.cells if section]
    assert set(PARTS.values()) <= plain(crowded()).keys()


def test_an_empty_run_has_empty_parts() -> None:
    found = plain(empty())
    for part in ("stages", "medians", "distribution", "over_time", "latency_by_size", "slowest"):
        assert found[part] == [], part
