# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about msgchan: what the module counted during the recording, and our records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from tracer.event import S_QUEUED
from tracer.frames.ledger.line import Line, compared, unknown
from tracer.frames.ledger.messages import extras_of, handled_messages
from tracer.frames.ledger.ports import port_lines
from tracer.frames.slack import MODULE_CHANNELS, Slack, protocols
from tracer.recording.witnesses import watched

#: In which records a handler of each channel is told, by point. The two channels on netlink share
#: theirs.
_TOLD_IN = {
    "setsockopt": ("setsockopt",),
    "getsockopt": ("getsockopt",),
    "netlink": ("send", "handled"),
    "icmp": ("send", "handled"),
}
#: The module's tracepoint that fires for every task, on kernels that cannot mark the traced ones.
_UNGATED = "msgchan:handled_any"


def module_lines(
    meta: dict[str, Any],
    rows: Mapping[str, pd.DataFrame],
    slack: Slack,
) -> Iterator[Line]:
    """The module's counters during the recording, against the records of its handlers and replies.

    The module counts separately in each network namespace, and the counters are those of the
    recorder's namespace: handlers in other namespaces are not compared.
    """
    handlers = handled_messages(rows)
    stats = meta.get("stats") or {}
    before, after = stats.get("before"), stats.get("after")
    if not before or not after:
        if "msgchan_handler" in watched(meta):
            yield unknown(meta, "msgchan requests", "module", "handlers recorded", len(handlers))
        return
    yield from _handlers(meta, before, after, handlers, slack)
    unseen = _not_traced(meta, before, after)
    yield from port_lines(meta, before, after, rows, slack, unseen)
    yield from _notified(meta, before, after, rows, slack)


def _handlers(
    meta: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    handlers: pd.DataFrame,
    slack: Slack,
) -> Iterator[Line]:
    """By channel, the requests that the module told to tracers, against those that were recorded.

    The module tells a tracer's probes of a request if some tracer has marked the thread that makes
    it. So it also tells of threads that only other recorders trace. The probes count those
    (foreign), and were read before and after the module's counters: the two readings bound how many
    of them the counters contain. If they differ, foreign requests came in meanwhile, and on each
    CPU one may have been counted by only one of the two.
    """
    field = "requests" if _is_ungated(meta) else "told"
    here = handlers["netns"].isin([0, meta.get("netns", 0)])
    lost = {points: _lost(meta, *points) for points in _TOLD_IN.values()}
    for code, channel in enumerate(MODULE_CHANNELS):
        counted = after["counters"][channel][field] - before["counters"][channel][field]
        on_channel = handlers["channel"] == code
        recorded = int((on_channel & here).sum())
        elsewhere = int((on_channel & ~here).sum())
        low = after["early"][channel]["foreign"] - before["late"][channel]["foreign"]
        high = after["late"][channel]["foreign"] - before["early"][channel]["foreign"]
        share = min(lost[_TOLD_IN[channel]], max(counted - recorded - low, 0))
        lost[_TOLD_IN[channel]] -= share
        recorded += share
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


def _not_traced(meta: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> int:
    """How many requests on netlink came from threads that were not traced, at most.

    Those that the module told to no tracer, and those of threads that another recorder traces.
    """
    first, last = before["counters"]["netlink"], after["counters"]["netlink"]
    grown = {field: last[field] - first[field] for field in ("requests", "told")}
    untold = 0 if _is_ungated(meta) else grown["requests"] - grown["told"]
    foreign = after["late"]["netlink"]["foreign"] - before["early"]["netlink"]["foreign"]
    return max(0, untold) + max(0, int(foreign))


def _is_ungated(meta: dict[str, Any]) -> bool:
    """Whether handlers are seen where the module reports those of all tasks, outside ``told``."""
    return any(row["target"] == _UNGATED for row in meta.get("plan") or [])


def _lost(meta: dict[str, Any], *points: str) -> int:
    """How many records of the points found no room in the ring; 0 if an account is missing."""
    return sum(int(meta["accounts"].get(point, {}).get("lost", 0)) for point in points)


def _notified(
    meta: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    rows: Mapping[str, pd.DataFrame],
    slack: Slack,
) -> Iterator[Line]:
    """Messages that the module sent to traced sockets on icmp_proto, against those queued there.

    At the end, the sockets are no longer traced from some moment on. A message that is being sent
    at that moment may be counted by one witness only: it was queued at a traced socket, but when
    the tracepoint fired, the socket counted as another's. There is at most one on each CPU, and
    no more than messages to other sockets were counted since. The answers to requests that were
    still open are allowed for as well.
    """
    proto = protocols(meta)["icmp"]
    stopping = after.get("stopping") or after["late"]
    sent = after["late"]["icmp"]["replies"] - before["early"]["icmp"]["replies"]
    calls, queued = rows["send_calls"], extras_of(rows, "queued")
    there = int((queued["proto"] == proto).sum())
    there += int(((calls["proto"] == proto) & ((calls["bits"] & S_QUEUED) != 0)).sum())
    there += min(_lost(meta, "send", "queued"), max(sent - there, 0))
    moving = after["late"]["icmp"]["foreign_replies"] - stopping["icmp"]["foreign_replies"]
    under_way = sum(n for (number, _portid), n in slack.requests.items() if number == proto)
    if sent or there:
        yield compared(
            "msgchan icmp replies",
            "msgchan:icmp_sent",
            sent,
            "__netlink_sendskb",
            there,
            slack=min(moving, meta.get("cpus", 1)) + under_way,
            excuse="under way when they were counted",
        )
