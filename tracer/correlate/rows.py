# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks: the exchanges of one channel, from which the rows of ``run.exchanges`` are made."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tracer.correlate.columns import NONE, Events, Ints, Mask
from tracer.correlate.pieces import Pieces
from tracer.correlate.user import Sends

CHANNELS = ("netlink", "setsockopt", "getsockopt", "notify", "peer")
STATUSES = ("ok", "error", "partial", "unanswered", "unmatched_user", "unmatched_kernel")
MATCHES = ("exact", "token", "payload", "order", "none")

#: Integer columns of a block; NONE means NA.
INTEGERS = (
    "tgid",
    "tid",
    "netns",
    "proto",
    "portid",
    "seq",
    "msg_type",
    "optname",
    "request_bytes",
    "reply_bytes",
    "copied_bytes",
    "replies",
    "errno",
    "start_ns",
    "end_ns",
    "send_return_ns",
    "first_reply_ns",
)


@dataclass
class Block:
    """The exchanges of one channel.

    ``columns`` has some or all of `INTEGERS`. ``token`` holds the 64 bits of an unsigned
    number. ``send`` and ``receive`` are the indices of the log entries that belong to each
    exchange, NONE if there is none. ``pieces`` number the exchanges by their row here.
    """

    channel: str
    size: int
    pieces: Pieces
    columns: dict[str, Ints] = field(default_factory=dict)
    token: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    status: npt.NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, object))
    match: npt.NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, object))
    send: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    receive: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def column(self, name: str) -> Ints:
        """The column of that name, all NONE if the channel does not have it."""
        return self.columns.get(name, np.full(self.size, NONE, np.int64))


def identity(events: Events, message: Ints) -> dict[str, Ints]:
    """The columns netns, proto, portid, seq and msg_type, from the message's event."""
    return {
        "netns": events.take("netns", message),
        "proto": events.take("proto", message),
        "portid": events.take("portid", message),
        "seq": events.take("seq", message),
        "msg_type": events.take("type", message),
    }


def first_seen(*times: Ints) -> Ints:
    """For each row the first of the arguments that was observed (not NONE)."""
    result = times[-1]
    for time in times[-2::-1]:
        result = np.where(time != NONE, time, result)
    return result


def last_seen(*times: Ints) -> Ints:
    """For each row the latest of the times, NONE if none was observed."""
    result = times[0]
    for time in times[1:]:
        result = np.maximum(result, time)
    return result


def agree(sends: Sends, entry: Ints, token: Ints, known: Mask) -> npt.NDArray[np.object_]:
    """The column ``match`` (see ``Frames.exchanges``).

    ``known`` marks the rows whose token was observed in the kernel; only there is it compared
    with the token of the log entry.
    """
    same = (entry >= 0) & (~known | (sends.take("token", entry) == token))
    return np.where(same, "exact", np.where(entry >= 0, "order", "none")).astype(object)
