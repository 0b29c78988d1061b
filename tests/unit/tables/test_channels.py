# SPDX-License-Identifier: GPL-2.0-or-later
"""Channels against each other, on exchanges made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_doubles import GET, NETLINK, exchanges, run

from tracer.clients import wire
from tracer.correlate.stages import STAGES
from tracer.errors import TracerError
from tracer.run import load
from tracer.tables.channels import KERNEL_STAGES, PROGRAM_STAGES, by_payload, crossings, faster

RECORDING = Path(__file__).parents[2] / "data" / "all-channels"
NAMES = {"netlink": "msgchan echo", "getsockopt": "msgchan request"}
HEADERS = {"netlink": ("request_bytes", 64), "getsockopt": ("reply_bytes", wire.REPLY.size)}


def echoes(channel: str, payload: int, ns: int, threads: int = 1, **columns: Any) -> pd.DataFrame:
    """Three exchanges a thread that took ``ns - 1``, ``ns`` and ``ns + 1``."""
    column, headers = HEADERS[channel]
    stages = NETLINK if channel == "netlink" else GET
    parts = [
        exchanges(3, channel, NAMES[channel], stages, tid=300 + tid).assign(
            **{"total_ns": pd.array([ns + 1, ns - 1, ns], "Int64"), column: payload + headers},
            **columns,
        )
        for tid in range(threads)
    ]
    return pd.concat(parts)


def one(*parts: pd.DataFrame) -> Any:
    return run(pd.concat(parts, ignore_index=True))


def table(levels: dict[int, tuple[int, int]], spread: int = 0) -> pd.DataFrame:
    """A table of one thread: payload -> (netlink, getsockopt) in ns."""
    rows = [
        {"channel": channel, "threads": 1, "payload_bytes": payload, "level_ns": ns,
         "low_ns": ns - spread, "high_ns": ns + spread}
        for payload, pair in levels.items()
        for channel, ns in zip(NAMES, pair, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_what_is_too_short_for_its_headers_has_no_payload() -> None:
    """The module refuses it, which is over soon, and settled: an error."""
    refused = echoes("netlink", -60, 7, status="error")
    found = by_payload([one(echoes("netlink", 0, 100), refused)])
    assert found["payload_bytes"].tolist() == [0]
    assert found["count"].tolist() == [3]


def test_the_replicate_is_the_run() -> None:
    runs = [one(echoes("netlink", 16, ns)) for ns in (100, 900, 200)]
    (row,) = by_payload(runs).to_dict("records")
    assert row == {
        "channel": "netlink", "threads": 1, "payload_bytes": 16, "runs": 3, "count": 9,
        "level_ns": 200, "low_ns": 100, "high_ns": 900,
    }  # fmt: skip


def test_threads_are_counted_by_payload_and_channel() -> None:
    found = by_payload(
        [one(echoes("netlink", 16, 100, 4), echoes("netlink", 32, 100, 2),
             echoes("getsockopt", 16, 100, 1))]
    )  # fmt: skip
    assert found[["channel", "threads", "payload_bytes", "count"]].to_numpy().tolist() == [
        ["getsockopt", 1, 16, 3], ["netlink", 2, 32, 6], ["netlink", 4, 16, 12],
    ]  # fmt: skip


def test_the_payload_of_a_real_recording_is_what_was_driven() -> None:
    """It is of schema 1, when the module's replies had a shorter header."""
    found = by_payload([load(RECORDING)])
    assert found[["channel", "threads", "payload_bytes", "count"]].to_numpy().tolist() == [
        ["getsockopt", 1, 64, 23], ["netlink", 1, 64, 23], ["setsockopt", 1, 64, 23],
    ]  # fmt: skip


def test_only_the_stages_asked_for_count() -> None:
    runs = [one(echoes("netlink", 16, 10_000))]
    (row,) = by_payload(runs, ("handler", "copy")).to_dict("records")
    assert row["level_ns"] == 2 * (NETLINK["handler"] + NETLINK["copy"])
    assert sorted(KERNEL_STAGES + PROGRAM_STAGES) == sorted(STAGES)


def test_a_high_quantile_is_a_time_that_occurred() -> None:
    (row,) = by_payload([one(echoes("netlink", 16, 500))], quantile=1.0).to_dict("records")
    assert row["level_ns"] == 501


def test_other_and_unsettled_exchanges_do_not_count() -> None:
    lost = echoes("netlink", 16, 5, status="partial")
    other = echoes("netlink", 16, 5, name="route 18")
    (row,) = by_payload([one(echoes("netlink", 16, 100), lost, other)]).to_dict("records")
    assert (row["count"], row["low_ns"]) == (3, 100)
    for runs in ([], [one(other)]):
        with pytest.raises(TracerError, match="no run has a settled msgchan echo"):
            by_payload(runs)


def test_who_is_faster_is_told_only_where_no_runs_overlap() -> None:
    found = faster(table({16: (100, 50), 32: (50, 100), 64: (100, 82)}, spread=10))
    assert found["faster"].tolist() == ["getsockopt", "netlink", "neither"]
    assert found["ratio"].tolist() == pytest.approx([2, 0.5, 100 / 82])


def test_a_payload_of_one_channel_only_is_no_match() -> None:
    both = table({16: (100, 50), 32: (100, 50)})
    lone = both[(both["payload_bytes"] == 16) | (both["channel"] == "netlink")]
    assert faster(lone)["payload_bytes"].tolist() == [16]


def test_lines_cross_where_their_levels_are_equal() -> None:
    # From twice as slow to half as slow: halfway on logarithmic axes.
    (row,) = crossings(table({16: (100, 200), 1600: (200, 100)})).to_dict("records")
    assert row == {
        "threads": 1, "below": "netlink", "above": "getsockopt",
        "from_bytes": 16, "to_bytes": 1600, "about_bytes": 160,
    }  # fmt: skip


def test_a_payload_that_is_not_settled_is_skipped() -> None:
    levels = table({16: (100, 200), 64: (150, 151), 1600: (200, 100)}, spread=5)
    (row,) = crossings(levels).to_dict("records")
    assert (row["from_bytes"], row["to_bytes"]) == (16, 1600)


def test_no_crossing_has_a_line_that_says_who_leads() -> None:
    (row,) = crossings(table({16: (200, 100), 32: (300, 100)})).to_dict("records")
    assert (row["below"], row["above"]) == ("getsockopt", "getsockopt")
    assert pd.isna(row["about_bytes"])
    (row,) = crossings(table({16: (200, 100)}, spread=100)).to_dict("records")
    assert (row["below"], row["above"]) == ("neither", "neither")
