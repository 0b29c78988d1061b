# SPDX-License-Identifier: GPL-2.0-or-later
"""Single messages as the probes recorded them: sent to the kernel, and queued for a reader.

A record of a send call holds the first message of its buffer, and the first one that was queued for
the sender inside of it. What does not fit there has a record of its own, a row of ``extras``.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tracer.event import (
    BY_DUMP,
    O_MODULE,
    RECORD_POINTS,
    S_DUMP,
    S_HEADLESS,
    S_MODULE,
    S_QUEUED,
    X_SENDING,
)

#: What tells a socket, and its messages, apart.
SOCKET = ["netns", "proto", "portid"]
MESSAGE = [*SOCKET, "seq"]


def extras_of(rows: Mapping[str, pd.DataFrame], point: str) -> pd.DataFrame:
    """The rows of ``extras`` that have this point (a name of ``RECORD_POINTS``)."""
    extras = rows["extras"]
    return extras[extras["point"] == RECORD_POINTS.index(point)]


def handled_messages(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Every request of which msgchan's handler told.

    Columns ``netns`` and ``channel``, which is a position in ``MODULE_CHANNELS``.
    """
    columns = ["netns", "channel"]
    calls, options = rows["send_calls"], rows["opt_calls"]
    told = [
        calls.loc[(calls["bits"] & S_MODULE) != 0, columns],
        options.loc[(options["bits"] & O_MODULE) != 0, columns],
        extras_of(rows, "handled")[columns],
    ]
    return pd.concat(told).reset_index(drop=True)


def sent_messages(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Every message that was sent to the kernel.

    Columns ``netns``, ``proto``, ``portid``, ``seq``, ``flags``, ``size``; ``at_ns`` is when
    netlink_unicast was entered, ``ret`` what the send call returned. That is NA if the call has no
    record, as one that was still open when tracing stopped. Buffers that begin with no message
    header hold no message.
    """
    calls = rows["send_calls"].rename(columns={"unicast_ns": "at_ns"})
    further = extras_of(rows, "message").rename(columns={"start_ns": "at_ns"})
    columns = [*MESSAGE, "flags", "size", "tid", "at_ns"]
    # A further message was sent by the call of its thread that entered netlink_unicast just then.
    further = further[columns].merge(
        calls[["tid", "at_ns", "dst", "ret"]], on=["tid", "at_ns"], how="left"
    )
    is_message = (calls["bits"] & S_HEADLESS) == 0
    sent = pd.concat([calls.loc[is_message, [*columns, "dst", "ret"]], further])
    to_kernel = sent["dst"].isna() | (sent["dst"] == 0)
    return sent[to_kernel].astype({"ret": "Int64"}).reset_index(drop=True)


def queued_messages(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Every message that was queued at a traced socket, but for those of other processes.

    Columns ``netns``, ``proto``, ``portid``, ``seq`` and ``type``; ``begins_dump`` marks the first
    part of a dump, which the kernel makes inside the send call.
    """
    calls = rows["send_calls"]
    inside = calls[((calls["bits"] & S_QUEUED) != 0) & (calls["dst"] == 0)]
    first = inside[MESSAGE].assign(
        type=inside["reply_type"], begins_dump=(inside["bits"] & S_DUMP) != 0
    )
    further = extras_of(rows, "queued")
    by_dump = (further["source"] == BY_DUMP) & ((further["bits"] & X_SENDING) != 0)
    extra = further[[*MESSAGE, "type"]].assign(begins_dump=by_dump)
    return pd.concat([first, extra]).reset_index(drop=True)
