# SPDX-License-Identifier: GPL-2.0-or-later
"""What the module counted stands against what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from recording_copies import (
    Copy,
    bad_lines,
    middle,
    removed,
)

from tracer.frames.ledger.module import _module_ports, _module_replies
from tracer.frames.slack import Slack


def counted(channel: str, field: str, by: int) -> Callable[[dict[str, Any]], None]:
    """The module counted ``by`` more while we recorded."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["counters"][channel][field] += by

    return change


def replied(channel: str, by: int) -> Callable[[dict[str, Any]], None]:
    """The module sent ``by`` more replies."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["late"][channel]["replies"] += by

    return change


@pytest.mark.parametrize("channel", ["netlink", "setsockopt", "getsockopt", "icmp"])
@pytest.mark.parametrize("by", [1, -1])
def test_the_module_counted_otherwise(copy: Copy, channel: str, by: int) -> None:
    copy.meta(counted(channel, "requests", by))
    assert bad_lines(copy.load()) == [f"msgchan {channel} requests"]


def test_requests_of_another_namespace_are_not_compared(copy: Copy, events: pd.DataFrame) -> None:
    """The module counts there by itself; what is told here is how many there were."""
    row = middle((events["point"] == "msgchan_handler") & (events["proto"] == 2))
    copy.rows(
        "events", lambda frame: frame.assign(netns=frame["netns"].where(frame.index != row, 77))
    )
    assert bad_lines(copy.load()) == ["msgchan netlink requests"]
    copy.meta(counted("netlink", "requests", -1))
    told = copy.line("msgchan netlink requests")
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
    copy.meta(counted("netlink", "requests", by))
    copy.meta(foreign("netlink", early, late))
    assert bad_lines(copy.load()) == ([] if ok else ["msgchan netlink requests"])
    share = min(max(by, early), late)
    allowed = "; up to 2 calls under way when they were counted" if ok and by != share else ""
    told = copy.line("msgchan netlink requests")["note"]
    assert told == f"{share} by processes not traced{allowed}"


@pytest.mark.parametrize(
    ("point", "proto", "line_of"),
    [
        ("msgchan_handler", 0, "msgchan setsockopt requests"),
        ("msgchan_handler", 2, "msgchan netlink requests"),
        ("msgchan_handler", 3, "msgchan icmp requests"),
        ("__netlink_sendskb", 30, "msgchan netlink replies"),
        ("__netlink_sendskb", 31, "msgchan icmp replies"),
    ],
)
def test_a_record_lost_in_the_ring_is_missing_on_its_own_channel_only(
    copy: Copy, events: pd.DataFrame, point: str, proto: int, line_of: str
) -> None:
    """The probes count what did not fit by point; the other channels of the point are whole."""
    row = middle((events["point"] == point) & (events["proto"] == proto))
    copy.rows("events", removed(row))
    assert line_of in bad_lines(copy.load())
    copy.meta(lambda meta: meta["accounts"][point].update(lost=1))
    run = copy.load()
    assert "ring full" in bad_lines(run)
    assert [name for name in bad_lines(run) if name.startswith("msgchan")] == []


def test_a_lost_record_excuses_one_request_and_one_reply_only(copy: Copy) -> None:
    for point in ("msgchan_handler", "__netlink_sendskb"):
        copy.meta(lambda meta, point=point: meta["accounts"][point].update(lost=1))
    for channel in ("setsockopt", "netlink"):
        copy.meta(counted(channel, "requests", 1))
    for channel in ("netlink", "icmp"):
        copy.meta(replied(channel, 1))
    assert bad_lines(copy.load()) == [
        "ring full",
        "msgchan netlink requests",
        "msgchan icmp replies",
    ]


def test_requests_of_others_are_no_lost_records(copy: Copy) -> None:
    copy.meta(lambda meta: meta["accounts"]["msgchan_handler"].update(lost=1))
    copy.meta(counted("icmp", "requests", 1))
    copy.meta(counted("netlink", "requests", 5))
    copy.meta(foreign("netlink", 5, 5))
    assert bad_lines(copy.load()) == ["ring full"]


def test_foreign_traffic_does_not_hide_a_lost_record(copy: Copy, events: pd.DataFrame) -> None:
    copy.meta(counted("netlink", "requests", 5))
    copy.meta(foreign("netlink", 5, 5))
    handlers = (events["point"] == "msgchan_handler") & (events["proto"] == 2)
    copy.rows("events", removed(middle(handlers)))
    assert "msgchan netlink requests" in bad_lines(copy.load())


def test_the_module_counted_otherwise_for_one_port(copy: Copy) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["ports"]["258"]["requests"] += 1

    copy.meta(change)
    assert bad_lines(copy.load()) == ["msgchan requests by port id"]
    note = copy.line("msgchan requests by port id")["note"]
    assert note == "port 258: 24 counted, 23 seen"


@pytest.mark.parametrize(("by", "ok"), [(0, True), (5, True), (6, False), (-1, False)])
def test_a_port_that_was_busy_before_it_was_traced(copy: Copy, by: int, ok: bool) -> None:
    """As with -p: what it sent until then is among what the probes counted of others."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["ports"]["258"]["requests"] += by

    copy.meta(foreign("netlink", 0, 5))
    copy.meta(change)
    row = copy.line("msgchan requests by port id")
    assert row["ok"] == ok
    assert row["note"].startswith(f"{min(by, 5)} before they were traced" if by > 0 else "")


def test_errors_of_two_ports_do_not_cancel_out() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5, 5, 6, 6]}
    )
    after = {"ports": {"5": {"requests": 3}, "6": {"requests": 1}}}
    (told,) = _module_ports({"netns": 1}, {"ports": {}}, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (4, 4, False)
    assert sorted(told.note.split("; ")) == [
        "port 5: 3 counted, 2 seen",
        "port 6: 1 counted, 2 seen",
    ]


def test_a_port_that_the_module_never_heard_of() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [7, 7]}
    )
    none: dict[str, Any] = {"ports": {}}
    (told,) = _module_ports({"netns": 1}, none, none, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (0, 2, False)
    assert told.note == "port 7: 0 counted, 2 seen"


@pytest.mark.parametrize(("others", "ok"), [(2, False), (3, True), (300, True)])
def test_what_was_not_counted_by_port_is_made_up_for_as_far_as_it_goes(
    others: int, ok: bool
) -> None:
    """Port 5 had no right to ask; port 6 made room, and came back with a new account."""
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5, 5, 6]}
    )
    before = {"ports": {"0": {"requests": 7}}}
    after = {"ports": {"0": {"requests": 7 + others}}}
    (told,) = _module_ports({"netns": 1}, before, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (min(others, 3), 3, ok)
    assert told.note.startswith(f"{min(others, 3)} not counted by port id")
    assert ("port 6: 0 counted, 1 seen" in told.note) != ok


def test_a_port_that_made_room_and_came_back() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5] * 8}
    )
    before = {"ports": {"0": {"requests": 0}, "5": {"requests": 100}}}
    after = {"ports": {"0": {"requests": 105}, "5": {"requests": 3}}}
    (told,) = _module_ports({"netns": 1}, before, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (8, 8, True)


def test_what_others_sent_without_a_right_does_not_hide_what_a_port_has_too_much() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5]}
    )
    after = {"ports": {"0": {"requests": 9}, "5": {"requests": 2}}}
    none: dict[str, Any] = {"ports": {}}
    (told,) = _module_ports({"netns": 1}, none, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (2, 1, False)


def test_a_module_with_protocols_of_its_own() -> None:
    """What is on its protocols counts, what is on the usual ones is another's."""
    parameters = {"netlink_proto": 25, "icmp_proto": 26}
    meta = {
        "netns": 1, "module": {"parameters": parameters},
        "accounts": {"__netlink_sendskb": {"lost": 0}},
    }  # fmt: skip
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": [25, 25, 30], "netns": 1, "status": "ok", "portid": 7}
    )
    ports = {"ports": {"7": {"requests": 2}}}
    (told,) = _module_ports(meta, {"ports": {}}, ports, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (2, 2, True)

    events = pd.DataFrame({"point": "__netlink_sendskb", "proto": [25, 26, 26, 30, 31]})
    before, after = (
        {when: {"netlink": {"replies": netlink}, "icmp": {"replies": icmp}}}
        for when, netlink, icmp in (("early", 4, 5), ("late", 5, 7))
    )
    lines = _module_replies(meta, before, after, events, Slack())
    assert [(told.count, told.other, told.ok) for told in lines] == [(1, 1, True), (2, 2, True)]
    lines = _module_replies(meta, before, {"late": before["early"]}, events, Slack())
    assert [(told.count, told.other, told.ok) for told in lines] == [(0, 1, False), (0, 2, False)]


@pytest.mark.parametrize("channel", ["netlink", "icmp"])
def test_replies_that_the_queue_did_not_see(copy: Copy, channel: str) -> None:
    copy.meta(replied(channel, 1))
    assert bad_lines(copy.load()) == [f"msgchan {channel} replies"]


@pytest.mark.parametrize("missing", [("before", "after"), ("before",), ("after",)])
def test_counters_of_a_module_that_the_plan_watches(copy: Copy, missing: tuple[str, ...]) -> None:
    copy.meta(lambda meta: meta["stats"].update(dict.fromkeys(missing)))
    assert bad_lines(copy.load()) == ["msgchan requests", "witnesses missing"]
    told = copy.line("msgchan requests")
    assert (pd.isna(told["count"]), told["other"]) == (True, 71)
    assert copy.line("witnesses missing")["note"] == ", ".join(f"stats.{m}" for m in missing)


def test_a_recording_without_the_module(copy: Copy, events: pd.DataFrame) -> None:
    """Its points are absent from the plan, and nobody asks for its counters."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"].update(before=None, after=None)
        for row in meta["plan"]:
            if "msgchan" in row["target"]:
                row["site"] = "absent"

    copy.meta(change)
    points = ["records of msgchan_handler", "records of msgchan_copy"]
    assert bad_lines(copy.load()) == points
    assert copy.line(points[0])["note"] == "the plan does not watch it"
    copy.rows(
        "events", lambda frame: frame[~frame["point"].isin(["msgchan_handler", "msgchan_copy"])]
    )
    copy.meta(lambda meta: meta["accounts"].update(
        {point: dict.fromkeys(("emitted", "lost", "time_sum", "missed"), 0)
         for point in ("msgchan_handler", "msgchan_copy")}))  # fmt: skip
    lines = copy.load().ledger
    assert not lines["line"].str.startswith("msgchan").any()
    assert lines["ok"].all()
