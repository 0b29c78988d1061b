# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges of the channel ``notify``: messages to a traced socket that answer no request.

There is one exchange for each message and receiver; it starts where the message was sent.
"""

from __future__ import annotations

import numpy as np

from tracer.correlate.columns import NONE, Events, Mask
from tracer.correlate.netlink import Answers, add_way, receive_entries, ways_of
from tracer.correlate.pieces import Pieces
from tracer.correlate.rows import Block, first_seen, identity, last_seen
from tracer.correlate.user import Sends


def notify_exchanges(events: Events, sends: Sends, answers: Answers, free: Mask) -> Block:
    """The notifications; ``free`` marks the rows of ``answers`` that are such.

    Those are queued messages that answer no request and were not sent by another process.
    """
    answer = np.flatnonzero(free)
    queued = answers.queued[answer]
    row = np.arange(answer.size)
    source = answers.source[answer]
    begin = first_seen(events.take("start_ns", source), events.start_ns[queued])
    way = ways_of(events, answers, answer, np.full(answer.size, NONE, np.int64))
    entry = receive_entries(sends, events, answers, answer)
    decoded = sends.take("end_ns", entry)
    pieces = Pieces()
    pieces.add("reply", row, begin, way.queued)
    add_way(pieces, row, way)
    pieces.add("recv_exit", row, way.copied, way.returned)
    pieces.add("decode", row, way.returned, decoded)
    block = Block("notify", answer.size, pieces)
    block.columns = identity(events, queued)
    block.columns |= {
        "tid": events.take("tid", answers.receive[answer]),
        "tgid": events.take("tgid", answers.receive[answer]),
        "request_bytes": np.zeros(answer.size, np.int64),
        "reply_bytes": events.size[queued],
        "copied_bytes": answers.copied[answer],
        "replies": np.ones(answer.size, np.int64),
        "errno": np.zeros(answer.size, np.int64),
        "start_ns": begin,
        "end_ns": last_seen(way.queued, way.copied, way.returned, decoded),
    }
    block.token = np.zeros(answer.size, np.int64)
    block.status = np.where(way.copied != NONE, "ok", "unanswered").astype(object)
    block.match = np.where(entry >= 0, "exact", "none").astype(object)
    block.send = np.full(answer.size, NONE, np.int64)
    block.receive = entry
    return block
