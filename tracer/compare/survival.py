# SPDX-License-Identifier: GPL-2.0-or-later
"""Tail tables: how many exchanges took at least how long, in a few numbers.

A table is a series of pairs (value in ns, number of exchanges that took at least that), with
falling values. For example ``((900, 1), (700, 3), (500, 20))``: one took 900 ns, three took 700 or
more, all twenty took at least 500. Up to 16 exchanges every value is kept, beyond that one for
each increase of the number by a fifth, so the table of a million exchanges has fewer than a
hundred entries. On the deterministic clock a stage within the kernel takes only a few different
times, so its table is short anyway.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Table = tuple[tuple[int, int], ...]

#: Every value is kept up to this number of exchanges; then one for each step, by this factor.
_EXACT = 16
_STEP = 1.2


def table(values: npt.NDArray[np.int64]) -> Table:
    """The table of these values (ns, in any order); empty if there are no values."""
    found, counts = np.unique(values, return_counts=True)
    least = np.cumsum(counts[::-1])
    kept: list[tuple[int, int]] = []
    for value, count in zip(found[::-1].tolist(), least.tolist(), strict=True):
        last = kept[-1][1] if kept else 0
        if count <= _EXACT or count >= _STEP * last or count == values.size:
            kept.append((value, count))
    return tuple(kept)


def beyond(of: Table, ns: float) -> int:
    """How many took longer than ``ns``: exact up to 16, a lower bound beyond that."""
    return max((count for value, count in of if value > ns), default=0)


def middle(of: Table) -> int:
    """The median in ns, or the next lower value that was kept."""
    half = of[-1][1] / 2
    return next(value for value, count in of if count >= half)


def require_sound(of: Table) -> None:
    """Raise :class:`ValueError` unless the table's values (ns) fall and its numbers rise."""
    for (slow, few), (fast, many) in pairwise(((2**63, 0), *of)):
        if not (slow > fast >= 0 and few < many):
            raise ValueError(f"values do not fall while their numbers rise: {[*of]}")
