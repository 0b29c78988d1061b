# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of ``run.exchanges`` before their stages: one block of columns per channel."""

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

    ``columns`` has the names of ``INTEGERS``; ``token`` is unsigned; ``send`` and
    ``receive`` are the entries of the user's log that belong to each exchange;
    ``pieces`` refers to rows of this block.
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
        """The column, all NONE when the channel has no such thing."""
        return self.columns.get(name, np.full(self.size, NONE, np.int64))


def identity(events: Events, message: Ints) -> dict[str, Ints]:
    """netns, proto, portid, seq and msg_type as the message's event tells them."""
    return {
        "netns": events.take("netns", message),
        "proto": events.take("proto", message),
        "portid": events.take("portid", message),
        "seq": events.take("seq", message),
        "msg_type": events.take("type", message),
    }


def first_seen(*times: Ints) -> Ints:
    """The first of the times that was observed, by row."""
    result = times[-1]
    for time in times[-2::-1]:
        result = np.where(time != NONE, time, result)
    return result


def last_seen(*times: Ints) -> Ints:
    """The latest observed time, by row, NONE where none was."""
    result = times[0]
    for time in times[1:]:
        result = np.maximum(result, time)
    return result


def agree(sends: Sends, entry: Ints, token: Ints, known: Mask) -> npt.NDArray[np.object_]:
    """``exact`` where the user's entry was found and its token, where both have one, agrees."""
    same = (entry >= 0) & (~known | (sends.take("token", entry) == token))
    return np.where(same, "exact", np.where(entry >= 0, "order", "none")).astype(object)
