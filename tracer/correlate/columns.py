# SPDX-License-Identifier: GPL-2.0-or-later
"""Events as numpy columns sorted for correlation, and the joins that correlation is made of.

Rows refer to each other by *index*: position in these columns. `NONE` (-1) as an index means
"there is no such row", as a time "not observed".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.event import CODE

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Stands for "no such row" in columns of indices, and for "not observed" in columns of times.
NONE = -1


@dataclass(frozen=True)
class Events:
    """The events of a recording sorted by thread, start and depth.

    All columns are int64 and of the same length: those of ``run.events``, and

    - ``row``: the row in ``run.events``,
    - ``parent``: the index of the enclosing call, NONE for an outermost call,
    - ``point``: the position in ``tracer.event.POINTS`` instead of the name,
    - ``thread``: like ``tid``, but different for each CPU's idle task (all have tid 0).
    """

    columns: dict[str, Ints]

    def __getattr__(self, name: str) -> Ints:
        try:
            return self.columns[name]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        return self.columns["start_ns"].size

    def at(self, *points: str) -> Mask:
        """A mask of the events that have one of these points."""
        return np.isin(self.columns["point"], [CODE[point] for point in points])

    def take(self, name: str, index: Ints) -> Ints:
        """The column at ``index``, NONE where the index is NONE."""
        return take(self.columns[name], index)


def take(values: Ints, index: Ints) -> Ints:
    """``values[index]``, NONE where the index is NONE."""
    if values.size == 0:
        return np.full(index.size, NONE, np.int64)
    return np.where(index >= 0, values[index], NONE)


def among(wanted: Mask, index: Ints) -> Mask:
    """The values of the mask ``wanted`` at each ``index``; False where the index is NONE."""
    if wanted.size == 0:
        return np.zeros(index.size, np.bool_)
    return np.asarray((index >= 0) & wanted[index], np.bool_)


def codes_of(points: pd.Series[Any]) -> Ints:
    """The ``tracer.event.CODE`` of each point name; the order of the categories does not matter."""
    categorical = points.astype("category").cat
    table = np.array([CODE[str(name)] for name in categorical.categories] or [0], np.int64)
    return np.asarray(table[categorical.codes.to_numpy()], np.int64)


def names(values: npt.NDArray[np.object_]) -> pd.Categorical:
    """Names as a categorical with categories of type ``str``, also if there is no name at all."""
    return pd.Categorical(pd.Series(values, dtype="str"))


def events_of(frame: pd.DataFrame) -> Events:
    """Sort the ``events`` of a recording, and find for each event the call that encloses it."""
    columns = {
        name: frame[name].to_numpy().astype(np.int64)
        for name in frame.columns
        if name not in ("point", "token", "comm")
    }
    columns["token"] = frame["token"].to_numpy().astype(np.uint64).view(np.int64)
    columns["point"] = codes_of(frame["point"])
    columns["thread"] = np.where(columns["tid"] == 0, -1 - columns["cpu"], columns["tid"])
    order = np.lexsort((columns["depth"], columns["start_ns"], columns["thread"]))
    columns = {name: values[order] for name, values in columns.items()}
    columns["row"] = order
    columns["parent"] = _parents(columns["thread"], columns["depth"], columns["end_ns"])
    return Events(columns)


def _parents(thread: Ints, depth: Ints, end: Ints) -> Ints:
    """The index of the call that encloses each event, NONE if there is none.

    It is the last event before it in the same thread whose depth is one less. If the event
    ends later than that call does, the record of its real parent was lost: NONE.
    """
    index = np.arange(depth.size, dtype=np.int64)
    parent = np.full(depth.size, NONE, np.int64)
    for level in range(1, int(depth.max(initial=0)) + 1):
        here = depth == level
        last = np.maximum.accumulate(np.where(depth == level - 1, index, NONE))[here]
        inside = (last >= 0) & (thread[last] == thread[here]) & (end[last] >= end[here])
        parent[here] = np.where(inside, last, NONE)
    return parent


def ancestor(events: Events, index: Ints, wanted: Mask) -> Ints:
    """The nearest call around each event that is in the mask ``wanted``, NONE if there is none.

    For example: the receive call around a copy.
    """
    found = np.full(index.size, NONE, np.int64)
    current = events.take("parent", index)
    while True:
        hit = (found < 0) & among(wanted, current)
        found = np.where(hit, current, found)
        current = np.where(found >= 0, NONE, events.take("parent", current))
        if (current < 0).all():
            return found


def latest(left_key: Ints, left_time: Ints, right_key: Ints, right_time: Ints) -> Ints:
    """For each left row, the last right row with the same key at or before its time, else NONE.

    For example: for each copy (left), the last time that its sk_buff was queued (right).
    """
    n, m = left_key.size, right_key.size
    key = np.concatenate([right_key, left_key])
    time = np.concatenate([right_time, left_time])
    side = np.concatenate([np.zeros(m, np.int8), np.ones(n, np.int8)])
    order = np.lexsort((side, time, key))
    position = np.where(side[order] == 0, np.arange(n + m), NONE)
    last = np.maximum.accumulate(position)
    found = np.full(n, NONE, np.int64)
    is_left = side[order] == 1
    candidate = last[is_left]
    source = order[np.maximum(candidate, 0)]
    same = (candidate >= 0) & (key[source] == key[order[is_left]])
    found[order[is_left] - m] = np.where(same, source, NONE)
    return found


def rank(*keys: Ints) -> Ints:
    """Number the rows that have equal ``keys`` 0, 1, 2, …, in the order in which they are given."""
    if keys[0].size == 0:
        return np.zeros(0, np.int64)
    order = np.lexsort(keys[::-1])
    changed = np.zeros(order.size, np.bool_)
    changed[0] = True
    for key in keys:
        changed[1:] |= key[order][1:] != key[order][:-1]
    index = np.arange(order.size)
    ranks = np.empty(order.size, np.int64)
    ranks[order] = index - np.maximum.accumulate(np.where(changed, index, 0))
    return ranks


def joint_keys(*tables: tuple[Ints, ...]) -> list[Ints]:
    """One integer for each row of each table; rows have equal integers if all values are equal.

    Each table is a tuple of columns; all tables have the same number of columns.
    """
    sizes = [columns[0].size for columns in tables]
    key = np.zeros(sum(sizes), np.int64)
    for parts in zip(*tables, strict=True):
        _values, code = np.unique(np.concatenate(parts), return_inverse=True)
        combined = key * (code.max(initial=0) + 1) + code.reshape(-1)
        _values, key = np.unique(combined, return_inverse=True)
        key = key.reshape(-1)
    return np.split(key, np.cumsum(sizes)[:-1])
