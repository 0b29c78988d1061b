# SPDX-License-Identifier: GPL-2.0-or-later
"""What the module counted stands against what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from recording_copies import Change, Copy, bad_lines, middle

from tracer.event import O_MODULE, RECORD_POINTS, S_MODULE, S_QUEUED
from tracer.frames.ledger.module import _notified
from tracer.frames.slack import Slack


def counted(channel: str, field: str, by: int) -> Callable[[dict[str, Any]], None]:
    """The module counted ``by`` more while we recorded."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["counters"][channel][field] += by

    return change


def notified(by: int) -> Callable[[dict[str, Any]], None]:
    """The module sent ``by`` more notifications."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["late"]["icmp"]["replies"] += by

    return change


def unmarked(bit: int) -> Change:
    """One call whose handler is not the module's own word."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        row = middle((frame["bits"] & bit) != 0)
        bits = frame["bits"].to_numpy(copy=True)
        bits[row] &= ~bit & 0xFFFF
        return frame.assign(bits=bits)

    return change


@pytest.mark.parametrize("channel", ["netlink", "setsockopt", "getsockopt", "icmp"])
@pytest.mark.parametrize("by", [1, -1])
def test_the_module_told_otherwise(copy: Copy, channel: str, by: int) -> None:
    copy.meta(counted(channel, "told", by))
    assert copy.bad() == [f"msgchan {channel} requests"]


@pytest.mark.parametrize("channel", ["netlink", "setsockopt", "getsockopt", "icmp"])
def test_requests_that_the_module_told_nobody_are_not_compared(copy: Copy, channel: str) -> None:
    """They were those of threads that no tracer marked."""
    copy.meta(counted(channel, "requests", 1000))
    assert copy.load().trusted


@pytest.mark.parametrize(("by", "ok"), [(0, True), (1, False)])
def test_where_threads_cannot_be_marked_all_requests_are_compared(
    copy: Copy, by: int, ok: bool
) -> None:
    def ungated(meta: dict[str, Any]) -> None:
        for row in meta["plan"]:
            if row["point"] == "msgchan_handler":
                row["target"] = "msgchan:handled_any"
        for counters in meta["stats"]["after"]["counters"].values():
            counters["told"] = 0

    copy.meta(ungated)
    copy.meta(counted("icmp", "requests", by))
    assert copy.bad() == ([] if ok else ["msgchan icmp requests"])


@pytest.mark.parametrize(
    ("kind", "bit", "channel"),
    [("send_calls", S_MODULE, "netlink"), ("opt_calls", O_MODULE, "getsockopt")],
)
def test_a_handler_that_was_not_recorded(copy: Copy, kind: str, bit: int, channel: str) -> None:
    copy.recorded(kind, unmarked(bit))
    assert f"msgchan {channel} requests" in copy.bad()


def test_a_handler_of_a_further_message_that_was_not_recorded(copy: Copy) -> None:
    handled = RECORD_POINTS.index("handled")
    copy.recorded("extras", lambda frame: frame[frame["point"] != handled])
    assert "msgchan netlink requests" in copy.bad()


def test_requests_of_another_namespace_are_not_compared(copy: Copy) -> None:
    """The module counts there by itself; what is told here is how many there were."""

    def elsewhere(frame: pd.DataFrame) -> pd.DataFrame:
        netns = frame["netns"].to_numpy(copy=True)
        netns[middle(frame["channel"] == 1)] = 77
        return frame.assign(netns=netns)

    copy.recorded("opt_calls", elsewhere)
    assert copy.bad() == ["msgchan getsockopt requests"]
    copy.meta(counted("getsockopt", "told", -1))
    told = copy.line("msgchan getsockopt requests")
    assert told["ok"]
    assert told["note"] == "1 more in other network namespaces, not compared"


def foreign(channel: str, early: int, late: int) -> Callable[[dict[str, Any]], None]:
    """Requests of others: ``early`` before the module was read at the end, ``late`` after."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["early"][channel]["foreign"] = early
        meta["stats"]["after"]["late"][channel]["foreign"] = late

    return change


@pytest.mark.parametrize(
    ("early", "late", "by", "ok"),
    [
        (5, 5, 5, True),
        (5, 5, 4, False),
        (5, 5, 6, False),
        (3, 9, 3, True),
        (3, 9, 9, True),
        (3, 9, 1, True),  # two CPUs: so many may be between the two counts
        (3, 9, 0, False),
        (3, 9, 11, True),
        (3, 9, 12, False),
    ],
)
def test_foreign_traffic_within_its_bounds(
    copy: Copy, early: int, late: int, by: int, ok: bool
) -> None:
    copy.meta(lambda meta: meta.update(cpus=2))
    copy.meta(counted("netlink", "told", by))
    copy.meta(foreign("netlink", early, late))
    run = copy.load()
    assert bad_lines(run) == ([] if ok else ["msgchan netlink requests"])
    share = min(max(by, early), late)
    allowed = "; up to 2 calls under way when they were counted" if ok and by != share else ""
    told = run.ledger.set_index("line").loc["msgchan netlink requests", "note"]
    assert told == f"{share} by processes not traced{allowed}"


@pytest.mark.parametrize(
    ("point", "channel"),
    [("send", "netlink"), ("send", "icmp"), ("handled", "netlink"), ("getsockopt", "getsockopt")],
)
def test_a_record_lost_in_the_ring_is_missing_on_its_own_channel_only(
    copy: Copy, point: str, channel: str
) -> None:
    """The probes count what did not fit by point; so the line of its channel need not fail."""
    copy.meta(counted(channel, "told", 1))
    copy.meta(lambda meta: meta["accounts"][point].update(lost=1))
    assert copy.bad() == ["ring full"]
    copy.meta(counted("setsockopt", "told", 1))
    assert copy.bad() == ["ring full", "msgchan setsockopt requests"]


def test_a_lost_record_excuses_one_request_only(copy: Copy) -> None:
    copy.meta(lambda meta: meta["accounts"]["send"].update(lost=1))
    for channel in ("netlink", "icmp"):
        copy.meta(counted(channel, "told", 1))
    assert copy.bad() == ["ring full", "msgchan icmp requests"]


def test_requests_of_others_are_no_lost_records(copy: Copy) -> None:
    copy.meta(lambda meta: meta["accounts"]["send"].update(lost=1))
    copy.meta(counted("icmp", "told", 1))
    copy.meta(counted("netlink", "told", 5))
    copy.meta(foreign("netlink", 5, 5))
    assert copy.bad() == ["ring full"]


def test_foreign_traffic_does_not_hide_a_lost_record(copy: Copy) -> None:
    copy.meta(counted("getsockopt", "told", 5))
    copy.meta(foreign("getsockopt", 5, 5))
    copy.recorded("opt_calls", unmarked(O_MODULE))
    assert "msgchan getsockopt requests" in copy.bad()


@pytest.mark.parametrize("by", [1, -1])
def test_notifications_that_the_queue_did_not_see(copy: Copy, by: int) -> None:
    copy.meta(notified(by))
    assert copy.bad() == ["msgchan icmp replies"]


@pytest.mark.parametrize("point", ["queued", "send"])
def test_a_notification_lost_in_the_ring(copy: Copy, point: str) -> None:
    copy.meta(lambda meta: meta["accounts"][point].update(lost=1))
    copy.meta(notified(1))
    assert copy.bad() == ["ring full"]
    copy.meta(notified(1))
    assert copy.bad() == ["ring full", "msgchan icmp replies"]


def test_a_module_with_protocols_of_its_own() -> None:
    """What is on its protocol counts, what is on the usual one is another's."""
    meta = {"module": {"parameters": {"icmp_proto": 26}}, "accounts": {}}
    rows = {
        "extras": pd.DataFrame(
            {"point": RECORD_POINTS.index("queued"), "proto": [25, 26, 30, 31], "bits": 0}
        ),
        "send_calls": pd.DataFrame({"proto": [26, 26], "bits": [S_QUEUED, 0]}),
    }
    before, after = (
        {when: {"icmp": {"replies": number, "foreign_replies": 0}}}
        for when, number in (("early", 5), ("late", 7))
    )
    (told,) = _notified(meta, before, after, rows, Slack())
    assert (told.count, told.other, told.ok) == (2, 2, True)
    (told,) = _notified(meta, before, {"late": before["early"]}, rows, Slack())
    assert (told.count, told.other, told.ok) == (0, 2, False)


@pytest.mark.parametrize("missing", [("before", "after"), ("before",), ("after",)])
def test_counters_of_a_module_that_the_plan_watches(copy: Copy, missing: tuple[str, ...]) -> None:
    copy.meta(lambda meta: meta["stats"].update(dict.fromkeys(missing)))
    assert copy.bad() == ["msgchan requests", "witnesses missing"]
    told = copy.line("msgchan requests")
    assert (pd.isna(told["count"]), told["other"]) == (True, 27)
    assert copy.line("witnesses missing")["note"] == ", ".join(f"stats.{m}" for m in missing)


def test_a_recording_without_the_module(copy: Copy) -> None:
    """Its points are absent from the plan, and nobody asks for its counters."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"].update(before=None, after=None)
        for row in meta["plan"]:
            if "msgchan" in row["target"]:
                row["site"] = "absent"

    copy.meta(change)
    assert copy.bad() == ["records of handled"]
    assert copy.line("records of handled")["note"] == "the plan does not watch it"
    handled = RECORD_POINTS.index("handled")
    copy.recorded("extras", lambda frame: frame[frame["point"] != handled])
    copy.meta(lambda meta: meta["decoded"]["handled"].update(checksum=0))
    copy.meta(lambda meta: meta["accounts"]["handled"].update(checksum=0))
    lines = copy.load().ledger
    assert not lines["line"].str.startswith("msgchan").any()
    assert lines["ok"].all()
