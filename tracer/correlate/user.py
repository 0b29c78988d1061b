# SPDX-License-Identifier: GPL-2.0-or-later
"""The user side's log as columns, and the search for the entry of each system call in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, Events, Ints, Mask, joint_keys, latest, take

SEND, RECEIVE, CALL = 0, 1, 2


@dataclass(frozen=True)
class Sends:
    """``run.sends`` as int64 columns, in the log's order."""

    columns: dict[str, Ints]

    def __getattr__(self, name: str) -> Ints:
        try:
            return self.columns[name]
        except KeyError:
            raise AttributeError(name) from None

    def take(self, name: str, index: Ints) -> Ints:
        """The column at ``index``, NONE where the index is NONE."""
        return take(self.columns[name], index)


def sends_of(frame: pd.DataFrame) -> Sends:
    """The columns of ``run.sends`` as int64; a token's 64 bits are taken for a signed number."""
    columns = {
        name: frame[name].to_numpy().astype(np.int64) for name in frame.columns if name != "token"
    }
    columns["token"] = frame["token"].to_numpy().astype(np.uint64).view(np.int64)
    return Sends(columns)


def entry_of_call(
    sends: Sends,
    wanted: Mask,
    events: Events,
    call: Ints,
    identity: tuple[Ints, ...] = (),
    names: tuple[str, ...] = (),
) -> Ints:
    """The log entry to which each system call belongs, NONE if there is none.

    A program takes the times of an entry before and after the call. So the call's entry is
    the one of the same thread whose begin and end enclose the call. ``call`` are indices of
    events (NONE allowed), ``wanted`` selects entries of the right kind. Several messages
    may go through one call, with an entry each: ``names`` are columns of the log whose
    values must then equal those in ``identity``.
    """
    entry = np.flatnonzero(wanted)
    left = (events.take("tid", call), *identity)
    right = (sends.tid[entry], *(sends.columns[name][entry] for name in names))
    left_key, right_key = joint_keys(left, right)
    found = take(
        entry, latest(left_key, events.take("start_ns", call), right_key, sends.begin_ns[entry])
    )
    inside = (
        (call >= 0) & (found >= 0) & (sends.take("end_ns", found) >= events.take("end_ns", call))
    )
    return np.where(inside, found, NONE)
