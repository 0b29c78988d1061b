# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about bytes: sizes that the probes read, against what calls returned and the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from tracer.correlate.user import CALL, SEND
from tracer.frames.ledger.line import Line, compared


def bytes_sent(rows: Mapping[str, pd.DataFrame]) -> Iterator[Line]:
    """The bytes of all buffers that were sent, against what the send calls returned.

    A call that succeeds returns the length of its buffer. There is no slack, since a call that was
    still open at the end has no record. Differences of two calls must not cancel out, so each call
    is looked at.
    """
    calls = rows["send_calls"]
    calls = calls[calls["ret"] >= 0]
    if calls.empty:
        return
    wrong = int((calls["buffer"] != calls["ret"]).sum())
    line = compared(
        "bytes sent",
        "send records",
        int(calls["buffer"].sum()),
        "netlink_sendmsg",
        int(calls["ret"].sum()),
        f"{wrong} calls returned another length" if wrong else "",
    )
    yield replace(line, ok=line.ok and not wrong)


def bytes_logged(sends: pd.DataFrame, exchanges: pd.DataFrame) -> Iterator[Line]:
    """The bytes in the user's log, against those that the probes saw in the same calls.

    Only the exchanges that are in both are compared. So there is no slack: a call that was still
    open, or whose entry is missing, is in neither count. A getsockopt that failed has no length.
    """
    for code, kind, channels, size, witness in (
        (0, SEND, ("netlink", "peer"), "request_bytes", "netlink_unicast"),
        (1, CALL, ("setsockopt",), "request_bytes", "nf_setsockopt"),
        (2, CALL, ("getsockopt",), "reply_bytes", "nf_getsockopt"),
    ):
        entries = sends[(sends["kind"] == kind) & (sends["channel"] == code)]
        here = exchanges[exchanges["channel"].isin(channels)]
        unseen = here[here["status"] == "unmatched_user"]
        seen = here[
            here["tgid"].isin(entries["tgid"].unique())
            & ~here["status"].isin(["unmatched_user", "unmatched_kernel"])
        ]
        if code == 2:
            entries = entries[entries["errno"] == 0]
            unseen, seen = unseen[unseen["errno"] == 0], seen[seen["errno"] == 0]
        if entries.empty and seen.empty:
            continue
        # An exchange that nobody saw has the size that the log says.
        logged = int(entries["size"].sum()) - int(unseen["request_bytes"].sum())
        name = f"bytes of {channels[0]} requests" if code < 2 else "bytes of getsockopt answers"
        yield compared(name, "user's log", logged, witness, int(seen[size].sum()))
