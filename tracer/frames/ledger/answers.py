# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger line about answers: which requests asked for one, and whether it was queued.

This looks at single messages and their sequence numbers only. So it does not rely on how the
correlation joins them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from tracer.correlate.exchanges import Correlation
from tracer.correlate.user import RECEIVE
from tracer.frames.ledger.line import Line
from tracer.frames.ledger.messages import (
    MESSAGE,
    SOCKET,
    extras_of,
    queued_messages,
    sent_messages,
)
from tracer.recording.witnesses import watched

_NLM_F_ACK, _NLM_F_DUMP, _NLMSG_ERROR = 0x4, 0x300, 2


def answer_line(
    meta: dict[str, Any], rows: Mapping[str, pd.DataFrame], correlation: Correlation
) -> Iterator[Line]:
    """The requests that ask for an answer, against the answers that were queued for them.

    A request asks for one by NLM_F_ACK, or by both bits of NLM_F_DUMP. The answer to the first is
    an NLMSG_ERROR (an acknowledgement is one without error), to the second the first part of a
    dump, or an NLMSG_ERROR. Left out are requests whose send call failed, or was still open at the
    end.

    An answer may be missing because a full receive queue took none, or because the kernel gave
    none. So the line only tells how many are missing. It is not ok if the user's log shows that the
    program received such an answer: then it was queued, and its record is lost.
    """
    if not {"netlink_sendmsg", "__netlink_sendskb"} <= watched(meta):
        return
    sent, queued = sent_messages(rows), queued_messages(rows)
    asks = (sent["flags"] & _NLM_F_ACK != 0) | (sent["flags"] & _NLM_F_DUMP == _NLM_F_DUMP)
    asking = sent[asks & (sent["ret"] >= 0).fillna(False).astype(bool)]
    if asking.empty:
        return
    answers = queued[(queued["type"] == _NLMSG_ERROR) | queued["begins_dump"]]
    expected, there = asking.groupby(MESSAGE).size(), answers.groupby(MESSAGE).size()
    missing = (expected - there.reindex(expected.index, fill_value=0)).clip(lower=0)
    missing = missing[missing > 0]
    lost = 0 if correlation.reads.early else _received(missing, rows["sends"], asking, queued)
    number = int(missing.sum())
    dropped = _dropped(missing, extras_of(rows, "overrun"))
    notes = [f"{number} without an answer"] * bool(number)
    notes += [f"{dropped} of them may be those that a full receive queue dropped"] * bool(dropped)
    notes += [f"the program received {lost} of them"] * bool(lost)
    yield Line(
        "requests against answers",
        "netlink_sendmsg",
        len(asking),
        "__netlink_sendskb",
        len(asking) - number,
        number,
        not lost,
        "; ".join(notes),
    )


def _dropped(missing: pd.Series, overruns: pd.DataFrame) -> int:
    """How many of the missing answers the messages dropped at the same sockets account for."""
    by_socket = missing.groupby(SOCKET).sum()
    dropped = overruns.groupby(SOCKET).size().reindex(by_socket.index, fill_value=0)
    return int(by_socket.clip(upper=dropped).sum())


def _received(
    missing: pd.Series, log: pd.DataFrame, asking: pd.DataFrame, queued: pd.DataFrame
) -> int:
    """How many of the missing answers the program received, as its log says.

    The log does not know network namespaces. So messages with the same protocol, port id and
    sequence number are counted together, and only receives that began after the first request.
    """
    key = ["proto", "portid", "seq"]
    lacking = missing.groupby(key).sum()
    since = asking.groupby(key)["at_ns"].min()
    received = log[(log["kind"] == RECEIVE) & (log["size"] > 0)]
    received = received.merge(since.rename("since").reset_index(), on=key)
    received = received[received["end_ns"] >= received["since"]]
    more = received.groupby(key).size().reindex(lacking.index, fill_value=0)
    more = more - queued.groupby(key).size().reindex(lacking.index, fill_value=0)
    return int(more.clip(lower=0, upper=lacking).sum())
