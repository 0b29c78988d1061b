# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about msgchan: what the module counted during the recording, and our records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from tracer.frames.ledger.line import Line, compared, unknown
from tracer.frames.slack import MODULE_CHANNELS, Slack
from tracer.recording.witnesses import watched


def module_lines(
    meta: dict[str, Any], events: pd.DataFrame, exchanges: pd.DataFrame, slack: Slack
) -> Iterator[Line]:
    """The module's counters during the recording, against the records of its tracepoints.

    The module counts separately in each network namespace, and the counters are those of the
    recorder's namespace: handlers in other namespaces are not compared. In old recordings,
    whose tracepoints did not report the namespace, it is 0.
    """
    handlers = events[events["point"] == "msgchan_handler"]
    stats = meta.get("stats") or {}
    before, after = stats.get("before"), stats.get("after")
    if not before or not after:
        if "msgchan_handler" in watched(meta):
            yield unknown(meta, "msgchan requests", "module", "handlers recorded", len(handlers))
        return
    here = handlers["netns"].isin([0, meta.get("netns", 0)])
    lost = _lost(meta, "msgchan_handler")  # of all channels together
    for code, channel in enumerate(MODULE_CHANNELS):
        counted = _delta(before["counters"], after["counters"], channel, "requests")
        on_channel = handlers["proto"] == code
        recorded = int((on_channel & here).sum())
        elsewhere = int((on_channel & ~here).sum())
        # The module also counts requests of processes that are not traced. The probes count those
        # (foreign), and were read before and after the module's counters: the two readings
        # bound how many of them the counters contain. If they differ, foreign requests came in
        # meanwhile, and on each CPU one may have been counted by only one of the two.
        low = after["early"][channel]["foreign"] - before["late"][channel]["foreign"]
        high = after["late"][channel]["foreign"] - before["early"][channel]["foreign"]
        share = min(lost, max(counted - recorded - low, 0))
        lost, recorded = lost - share, recorded + share
        foreign = min(max(counted - recorded, low), high)
        moving = int(meta.get("cpus", 0)) if high > low else 0
        yield compared(
            f"msgchan {channel} requests",
            "module",
            counted,
            "handlers recorded and foreign",
            recorded + foreign,
            "; ".join(
                [f"{foreign} by processes not traced"] * bool(foreign)
                + [f"{elsewhere} more in other network namespaces, not compared"] * bool(elsewhere)
            ),
            slack=slack.handlers[channel] + moving,
            excuse="under way when they were counted" if moving else "cut off in the middle",
        )
    yield from _module_ports(meta, before, after, exchanges, slack)
    yield from _module_replies(meta, before, after, events, slack)


def _lost(meta: dict[str, Any], point: str) -> int:
    """How many records of the point found no room in the ring; 0 if the account is missing."""
    return int(meta["accounts"].get(point, {}).get("lost", 0))


def _delta(before: dict[str, Any], after: dict[str, Any], key: str, field: str) -> int:
    return int(after.get(key, {}).get(field, 0)) - int(before.get(key, {}).get(field, 0))


def _module_ports(
    meta: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    exchanges: pd.DataFrame,
    slack: Slack,
) -> Iterator[Line]:
    """The module's count of requests by port id, against ``netlink_unicast`` at that port.

    Only the recorder's network namespace is compared, whose port table was read. Two causes
    may make the counts of a port differ:

    - A process may have sent requests in the recording before it was traced. The module counts
      these at its port; the probes saw them as those of a process that is not traced. So a
      port may have at most that many more.
    - Some requests have no entry by port id, such as those of ports evicted from the full
      table. The module counts them at port id 0. What a port lacks is taken from there, as
      long as that count lasts, and the note says how much.
    """
    unseen = max(0, _foreign(after, "late") - _foreign(before, "early"))
    proto = int(((meta.get("module") or {}).get("parameters") or {}).get("netlink_proto") or 30)
    here = _requests_of(exchanges, proto, meta.get("netns", -1))
    counted = seen = folded = cut = 0
    others = max(0, _delta(before["ports"], after["ports"], "0", "requests"))
    wrong = []
    for portid, number in here["portid"].value_counts().items():
        delta = _delta(before["ports"], after["ports"], str(portid), "requests")
        lacking = min(max(int(number) - delta, 0), others - folded)
        folded, delta = folded + lacking, delta + lacking
        counted, seen = counted + delta, seen + int(number)
        under_way = slack.requests[proto, int(portid)]
        cut += under_way
        if not 0 <= delta - int(number) <= under_way + unseen:
            wrong.append(f"port {portid}: {delta} counted, {number} seen")
    if seen or counted:
        share = min(max(counted - seen, 0), unseen)
        notes = [f"{folded} not counted by port id"] * bool(folded)
        notes += [f"{share} before they were traced"] * bool(share)
        line = compared(
            "msgchan requests by port id",
            "module",
            counted,
            "netlink_unicast",
            seen + share,
            "; ".join(notes + wrong),
            slack=cut,
        )
        yield replace(line, ok=line.ok and not wrong)


def _requests_of(exchanges: pd.DataFrame, proto: int, netns: int) -> pd.DataFrame:
    """The requests of one protocol that the kernel side saw in one network namespace."""
    return exchanges[
        (exchanges["channel"] == "netlink")
        & (exchanges["proto"] == proto)
        & (exchanges["netns"] == netns)
        & (exchanges["status"] != "unmatched_user")
    ]


def _foreign(reading: dict[str, Any], when: str) -> int:
    return int(reading.get(when, {}).get("netlink", {}).get("foreign", 0))


def _module_replies(
    meta: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    events: pd.DataFrame,
    slack: Slack,
) -> Iterator[Line]:
    """Replies that the module sent to traced sockets, against those that were queued there.

    At the end, the sockets are no longer traced from some moment on. A reply that is being sent
    at that moment may be counted by one witness only: it was queued at a traced socket, but when
    the tracepoint fired, the socket counted as another's. There is at most one on each CPU, and
    no more than replies to other sockets were counted since. The replies of requests that were
    still open are allowed for as well.
    """
    stopping = after.get("stopping") or after["late"]
    under_way = Counter[int]()
    for (proto, _portid), number in slack.requests.items():
        under_way[proto] += number
    parameters = (meta.get("module") or {}).get("parameters") or {}
    queued = events[events["point"] == "__netlink_sendskb"]
    lost = _lost(meta, "__netlink_sendskb")  # of both channels together
    for channel, parameter, default in (
        ("netlink", "netlink_proto", 30),
        ("icmp", "icmp_proto", 31),
    ):
        proto = int(parameters.get(parameter) or default)
        sent = after["late"][channel]["replies"] - before["early"][channel]["replies"]
        there = int((queued["proto"] == proto).sum())
        share = min(lost, max(sent - there, 0))
        lost, there = lost - share, there + share
        others = after["late"][channel].get("foreign_replies", 0)
        moving = others - stopping[channel].get("foreign_replies", 0)
        if sent or there:
            yield compared(
                f"msgchan {channel} replies",
                "msgchan:reply_sent",
                sent,
                "__netlink_sendskb",
                there,
                slack=min(moving, meta.get("cpus", 1)) + under_way[proto],
                excuse="under way when they were counted",
            )
