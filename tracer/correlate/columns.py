# SPDX-License-Identifier: GPL-2.0-or-later
"""Columns of numbers, and the joins of their rows by key and time.

`NONE` (-1) stands for "no such row" in columns of positions, and for "not there" elsewhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Stands for "no such row" in columns of indices, and for "not observed" in columns of times.
NONE = -1


def take(values: Ints, index: Ints) -> Ints:
    """``values[index]``, NONE where the index is NONE."""
    if values.size == 0:
        return np.full(index.size, NONE, np.int64)
    return np.where(index >= 0, values[index], NONE)


def names(values: npt.NDArray[np.object_]) -> pd.Categorical:
    """Names as a categorical with categories of type ``str``, also if there is no name at all."""
    return pd.Categorical(pd.Series(values, dtype="str"))


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
