# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares exchanges that were made in two ways, row for row."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pandas as pd
from channels import KERNEL_TURN, play
from event_builder import typed
from joined import MSG_PEEK, QUEUED, R_COPY, S_QUEUED, socket_of
from matcher import match
from rows import COLUMNS, STAGES, Row
from streams import Stream

from tracer.correlate.exchanges import correlate

#: The columns that are compared by their values; `buffer` is only a name for rows that belong
#: together.
VALUES = (*(name for name in COLUMNS if name != "buffer"), *(f"{stage}_ns" for stage in STAGES))
#: The most that an action's second number can be.
MOST = 2**40
#: How many actions the random streams have, how many records are dropped, and how many are cut off.
_ACTIONS, _DROPPED, _CUT = (20, 60, 150, 300, 600), (0, 0, 3, 20), (0, 0, 5, 30)

Values = tuple[Any, ...]


def matched(stream: Stream) -> list[Row]:
    """The exchanges that the reference matcher makes of a stream."""
    return match(**stream.rows, sends=stream.sends)


def correlated(stream: Stream) -> list[Row]:
    """The exchanges that correlation makes of a stream."""
    frames = {kind: typed(kind, rows) for kind, rows in stream.rows.items()}
    made = correlate(frames, typed("sends", stream.sends), typed("tasks", []), {})
    return rows_of(made.exchanges)


def rows_of(exchanges: pd.DataFrame) -> list[Row]:
    """The rows of ``run.exchanges`` as dictionaries, with None for NA."""
    columns = {name: exchanges[name].astype(object) for name in (*VALUES, "buffer")}
    frame = pd.DataFrame({name: values.where(values.notna(), None) for name, values in
                          columns.items()})  # fmt: skip
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def comparable(rows: list[Row]) -> list[Values]:
    """The rows as tuples in the order of their start; rows that begin at once in any fixed order.

    The last value is the place of the first row of the same buffer.
    """
    told = [(tuple(row[name] for name in VALUES), row["buffer"]) for row in rows]
    started = VALUES.index("start_ns")
    told.sort(key=lambda row: (row[0][started], [(v is not None, str(v)) for v in row[0]]))
    first: dict[Any, int] = {}
    return [
        (*values, None if buffer is None else first.setdefault(buffer, place))
        for place, (values, buffer) in enumerate(told)
    ]


def differences(expected: list[Row], found: list[Row]) -> list[str]:
    """One line for each row that one of the two has and the other has not, or has otherwise."""
    names = (*VALUES, "buffer")
    left, right = comparable(expected), comparable(found)
    if len(left) == len(right):
        return [
            f"{row[0]} at {row[names.index('start_ns')]}: {told}"
            for row, other in zip(left, right, strict=True)
            if (told := {n: (a, b) for n, a, b in zip(names, row, other, strict=True) if a != b})
        ]
    lines = [f"{len(left)} rows expected, {len(right)} found"]
    for rows, others, which in ((left, right, "expected"), (right, left, "found")):
        for row in rows:
            if row[:-1] not in [other[:-1] for other in others]:
                told = {n: v for n, v in zip(names, row, strict=True) if v is not None}
                lines.append(f"only {which}: {told}")
    return lines


def moves_a_peek(stream: Stream) -> bool:
    """Whether a peek left the ring before the record of its message, but after an older one's.

    Both messages had the same buffer and socket. Of the pass it is known that it takes such a peek
    for one of the older message, so that it may miss that a reader waited in it. Such streams are
    not compared.
    """
    queued: dict[tuple[Any, ...], list[tuple[int, int]]] = defaultdict(list)
    for send in stream.rows["send_calls"]:
        if send["bits"] & S_QUEUED:
            port = send["dst"] or send["portid"]
            key = send["netns"], send["proto"], port, send["reply_skb"]
            queued[key].append((send["queued_ns"], send["order"]))
    for extra in stream.rows["extras"]:
        if extra["point"] == QUEUED:
            queued[*socket_of(extra), extra["skb"]].append((extra["end_ns"], extra["order"]))
    for recv in stream.rows["recv_calls"]:
        if recv["flags"] & MSG_PEEK and recv["bits"] & R_COPY:
            before = [q for q in queued[*socket_of(recv), recv["skb"]] if q[0] <= recv["copy_ns"]]
            if before and max(before)[1] > recv["order"] > min(order for _at, order in before):
                return True
    return False


def random_stream(seed: int) -> Stream:
    """A stream of a random length, of which some records may be missing."""
    dice = random.Random(seed)
    count = dice.choice(_ACTIONS)
    actions = [(dice.randrange(KERNEL_TURN), dice.randrange(MOST)) for _ in range(count)]
    dropped = [dice.randrange(count + 1) for _ in range(dice.choice(_DROPPED))]
    return play(actions, dropped, dice.choice(_CUT), dice.choice(_CUT))
