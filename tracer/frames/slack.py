# SPDX-License-Identifier: GPL-2.0-or-later
"""The slack: what a recording may lack because it ended in the middle of something.

Two things may be cut off when a recording ends:

- *Calls* that have not returned when tracing stops. Their records are never written, but the
  module may have counted a request already. The recorder notes these calls, with thread and
  port id (``end.open`` in ``meta.json``).
- *Log entries* of a thread that was killed or that goes on. An entry is written after its call
  has returned, so the entry of such a thread's last call may be missing. Conversely, an entry
  that was being made while tracing stopped may describe a call that no probe saw.

The ledger allows for exactly these, so that every other difference makes it untrusted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from tracer.correlate.exchanges import Correlation
from tracer.event import RECEIVES, SENDS

#: ``enum msgchan_channel``, by value.
MODULE_CHANNELS = ("setsockopt", "getsockopt", "netlink", "icmp")
#: The kinds of rows that are calls.
_RECORDS = ("send_calls", "recv_calls", "opt_calls")
#: The points of open calls of the same kinds: how far they had come.
_LOGGED_OPEN = (
    *SENDS,
    *RECEIVES,
    "setsockopt",
    "getsockopt",
    "netlink_unicast",
    "nf_setsockopt",
    "nf_getsockopt",
)


@dataclass(frozen=True)
class Slack:
    """How many calls each count may be short of.

    handlers
        Requests that may have been inside a handler of the module when tracing stopped, by its
        channel.
    requests
        Requests inside ``netlink_unicast`` when tracing stopped, by protocol and port id.
    unlogged, unseen
        Exchanges without an entry in the user's log, and entries without an observed call, by
        channel of ``exchanges``.
    unlogged_reads, unseen_receives
        The same for receives.
    """

    handlers: Counter[str] = field(default_factory=Counter)
    requests: Counter[tuple[int, int]] = field(default_factory=Counter)
    unlogged: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    unlogged_reads: int = 0
    unseen_receives: int = 0

    def log(self, *channels: str) -> int:
        """By how much the user's log and the kernel's count of ``channels`` may differ."""
        return sum(self.unlogged[channel] + self.unseen[channel] for channel in channels)


def slack_of(
    meta: dict[str, Any], rows: Mapping[str, pd.DataFrame], correlation: Correlation
) -> Slack:
    """The slack of one recording of these rows; none if its ``meta.json`` lacks ``end``."""
    end = meta.get("end")
    if not end:
        return Slack()
    slack = Slack(*_open(end["open"], protocols(meta)))
    if not end["cut"]:
        return slack
    returned = _calls(end, rows)
    calls = _last_calls(end, returned, rows["sends"])
    exchanges = correlation.exchanges
    seen = exchanges.loc[exchanges["status"] == "unmatched_kernel", ["tid", "start_ns", "channel"]]
    logged = exchanges.loc[
        (exchanges["status"] == "unmatched_user") & exchanges["tid"].isin(end["cut"])
    ]
    over = logged["start_ns"] + logged["total_ns"]
    latest = returned.groupby("tid")["start_ns"].max()
    under_way = _under_way(end, latest, logged["tid"], logged["start_ns"], over)
    receives = correlation.unseen[correlation.unseen["tid"].isin(end["cut"])]
    receiving = _under_way(end, latest, receives["tid"], receives["begin_ns"], receives["end_ns"])
    return replace(
        slack,
        unlogged=Counter(map(str, _inside(seen, calls)["channel"])),
        unseen=Counter(map(str, logged.loc[under_way, "channel"])),
        unlogged_reads=len(_inside(correlation.unlogged, calls)),
        unseen_receives=int(receiving.sum()),
    )


def protocols(meta: dict[str, Any]) -> dict[str, int]:
    """The netlink protocols of the module's channels ``netlink`` and ``icmp``, as it was loaded."""
    parameters = (meta.get("module") or {}).get("parameters") or {}
    return {
        "netlink": int(parameters.get("netlink_proto") or 30),
        "icmp": int(parameters.get("icmp_proto") or 31),
    }


def _open(
    calls: list[dict[str, Any]], protocols: dict[str, int]
) -> tuple[Counter[str], Counter[tuple[int, int]]]:
    """``handlers`` and ``requests`` of :class:`Slack`, from the open calls.

    A request that is inside netlink_unicast may also be inside the module's handler, if it is on
    one of the module's protocols. ``proto`` of an open socket option is 1 for the module's options.
    """
    handlers: Counter[str] = Counter()
    requests: Counter[tuple[int, int]] = Counter()
    for call in calls:
        if call["point"] == "netlink_unicast" and call["portid"]:
            requests[call["proto"], call["portid"]] += 1
            handlers.update(name for name, proto in protocols.items() if proto == call["proto"])
        elif call["point"] in ("nf_setsockopt", "nf_getsockopt") and call["proto"] == 1:
            handlers[call["point"].removeprefix("nf_")] += 1
    return handlers, requests


def _calls(end: dict[str, Any], rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The recorded calls of threads that were cut off: ``tid``, ``start_ns``, ``end_ns``."""
    columns = ["tid", "enter_ns", "exit_ns"]
    seen = [rows[kind].loc[rows[kind]["tid"].isin(end["cut"]), columns] for kind in _RECORDS]
    names = {"enter_ns": "start_ns", "exit_ns": "end_ns"}
    return pd.concat(seen).rename(columns=names).astype(np.int64)


def _last_calls(end: dict[str, Any], seen: pd.DataFrame, sends: pd.DataFrame) -> pd.DataFrame:
    """The last call of each thread that was cut off, if its log entry may be missing.

    That call was recorded, or it was open when tracing stopped. Threads whose log has an entry
    that began later are left out, because then the last call's entry cannot be missing.
    Columns ``tid``, ``call_ns``, ``return_ns``.
    """
    inside = [
        (call["tid"], call["start_ns"], end["stopped_ns"])
        for call in end["open"]
        if call["point"] in _LOGGED_OPEN
    ]
    opened = pd.DataFrame(inside, columns=seen.columns, dtype=np.int64)
    calls = pd.concat([seen, opened])
    last = calls.sort_values("start_ns").drop_duplicates("tid", keep="last")
    last = last.rename(columns={"start_ns": "call_ns", "end_ns": "return_ns"})
    begun = sends.groupby("tid")["begin_ns"].max()
    return last[last["tid"].map(begun).fillna(-1).to_numpy() <= last["call_ns"].to_numpy()]


def _inside(rows: pd.DataFrame, calls: pd.DataFrame) -> pd.DataFrame:
    """Those of ``rows`` (``tid``, ``start_ns``) that began within one of ``calls``."""
    joined = rows.astype({"tid": np.int64}).merge(calls.astype({"tid": np.int64}), on="tid")
    return joined[joined["start_ns"].between(joined["call_ns"], joined["return_ns"])]


def _under_way(
    end: dict[str, Any], latest: pd.Series, tid: pd.Series, begin: pd.Series, over: pd.Series
) -> pd.Series:
    """Which log entries (begin and end in ns) may tell of calls that nobody saw.

    Tracing stops thread by thread, and a thread whose tracing has stopped is not seen again. So
    an entry is excused when it overlaps the time in which tracing was stopped, and when no call
    that its thread began later was recorded.
    """
    let_go = begin >= tid.astype(np.int64).map(latest).fillna(-1)
    return (begin <= end["stopped_ns"]) & (over >= end["stopping_ns"]) & let_go
