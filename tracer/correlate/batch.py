# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers to messages of one buffer that have the same sequence number, told apart by their order.

The kernel handles the messages of a buffer one after the other. It ends a message with an
NLMSG_ERROR if the message asked for one (NLM_F_ACK) or failed, and answers the next one only then.
So of messages with the same number, the first NLMSG_ERROR belongs to the first one, and so on;
any other answer belongs to the message whose turn it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tracer.correlate.columns import NONE, Events, Ints, Mask, joint_keys

NLMSG_ERROR = 2
NLM_F_ACK = 0x4


def in_turn(
    events: Events, message: Ints, unicast: Ints, alone: Mask, queued: Ints, buffer: Ints
) -> Ints:
    """The message (row of ``message``) of each answer, NONE where its number tells.

    ``message`` are the events of the messages in the order of their buffers, ``unicast`` the
    ``netlink_unicast`` that sent each; ``alone`` marks those that something else tells apart.
    ``queued`` are the answers' events, ``buffer`` the ``netlink_unicast`` they are inside of.
    """
    found = np.full(queued.size, NONE, np.int64)
    here, there = joint_keys(
        (unicast, events.sock[message], events.seq[message]),
        (buffer, events.sock[queued], events.seq[queued]),
    )
    _keys, number, count = np.unique(here[~alone], return_inverse=True, return_counts=True)
    shared = np.unique(here[~alone][count[number.reshape(-1)] > 1])
    answered = np.flatnonzero(np.isin(there, shared) & (buffer >= 0))
    answered = answered[np.argsort(events.start_ns[queued[answered]], kind="stable")]
    for key in np.unique(there[answered]).tolist():
        rows = np.flatnonzero((here == key) & ~alone)
        answers = answered[there[answered] == key]
        acks = (events.flags[message[rows]] & NLM_F_ACK) != 0
        errors = events.type[queued[answers]] == NLMSG_ERROR
        found[answers] = rows[list(_turns(acks.tolist(), errors.tolist()))]
    return found


def _turns(acks: list[bool], errors: list[bool]) -> Iterator[int]:
    """The place of the message that each answer belongs to; ``acks``: which asked for one."""
    turn = 0
    for is_error in errors:
        if is_error and True in acks[turn:]:
            turn = acks.index(True, turn)
        yield min(turn, len(acks) - 1)
        turn += is_error
