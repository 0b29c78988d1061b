# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about the user's log: its entries against the calls that the probes saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from tracer.correlate.exchanges import Correlation
from tracer.correlate.user import CALL, RECEIVE, SEND
from tracer.frames.ledger.line import Line, compared, none_expected, unknown
from tracer.frames.slack import Slack
from tracer.recording.witnesses import LogCount


def entries(meta: dict[str, Any], sends: pd.DataFrame) -> Iterator[Line]:
    """The entries of the log: how many the recorder read, and how many the recording holds.

    The counts and sums of times of every single process must agree.
    """
    name, witness = "entries of the log", "spool"
    read = meta.get("log")
    if read is None:
        yield unknown(meta, name, witness, "recording", len(sends))
        return
    here = LogCount()
    here.add(sends)
    found = here.as_dict()
    wrong = [
        f"process {tgid}: they differ in number or times"
        for tgid in sorted(read.keys() | found.keys())
        if read.get(tgid) != found.get(tgid)
    ]
    total = sum(process["entries"] for process in read.values())
    if total or len(sends):
        line = compared(name, witness, total, "recording", len(sends), "; ".join(wrong))
        yield replace(line, ok=line.ok and not wrong)


def logged(sends: pd.DataFrame, correlation: Correlation, slack: Slack) -> Iterator[Line]:
    """The entries of the log against the calls by the same sockets and options that were seen."""
    if sends.empty:
        return
    seen = correlation.logging
    netlink = seen["netlink"] + seen["peer"]
    logged = int((sends["kind"] == SEND).sum())
    cut = slack.log("netlink", "peer")
    yield compared("netlink sends", "user's log", logged, "netlink_unicast", netlink, slack=cut)
    for code, channel in ((1, "setsockopt"), (2, "getsockopt")):
        calls = int(((sends["kind"] == CALL) & (sends["channel"] == code)).sum())
        there = seen[channel]
        if calls or there:
            cut = slack.log(channel)
            yield compared(
                f"{channel} calls", "user's log", calls, f"nf_{channel}", there, slack=cut
            )
    received = int(((sends["kind"] == RECEIVE) & (sends["size"] > 0)).sum())
    held = received - len(correlation.unseen)
    cut = slack.unseen_receives
    yield compared("receives", "user's log", received, "receive calls", held, slack=cut)
    unlogged, cut = len(correlation.unlogged), slack.unlogged_reads
    yield compared("reads nobody logged", "kernel", unlogged, "none expected", 0, slack=cut)


def refused(meta: dict[str, Any]) -> Iterator[Line]:
    """Files in the spool that were not taken for logs (see :mod:`tracer.clients.spool_reader`).

    Those of users that traced processes ran as make the recording untrusted. Those of other
    users are only told: otherwise anybody could make recordings untrusted.
    """
    spool = meta.get("spool")
    if spool is None:
        yield unknown(meta, "odd files in the spool", "recorder", "none expected", 0)
        return
    ours, strangers = spool["ours"], spool["strangers"]
    yield none_expected("odd files in the spool", "recorder", ours["count"], ours["first"])
    if strangers["count"]:
        yield Line(
            "files of strangers in the spool",
            "recorder",
            strangers["count"],
            "declared",
            strangers["count"],
            0,
            True,
            f"not read: {strangers['first']}",
        )


def joins(exchanges: pd.DataFrame, correlation: Correlation, slack: Slack) -> Iterator[Line]:
    """Exchanges that were not joined, or in a way that cannot be right."""
    status = exchanges["status"].value_counts()
    for name, witness, key, cut in (
        ("sends nobody saw", "user's log", "unmatched_user", slack.unseen),
        ("requests nobody logged", "kernel", "unmatched_kernel", slack.unlogged),
    ):
        count = int(status.get(key, 0))
        yield compared(name, witness, count, "none expected", 0, slack=cut.total())
    yield none_expected("tokens that disagree", "correlation", correlation.disagreeing)
    yield none_expected("boundaries out of order", "correlation", correlation.disordered)
    yield none_expected("answers older than their call", "correlation", correlation.astray)
    yield none_expected(
        "negative remainders", "correlation", int((exchanges["unexplained_ns"] < 0).sum())
    )
