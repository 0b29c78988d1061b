# SPDX-License-Identifier: GPL-2.0-or-later
"""How many exchanges took at least so long: the shape of a stage's tail in a few numbers.

A table is a series of (value in ns, how many took at least that), the slowest first and all of
them last. Small numbers are exact; of larger ones only every sixth or so is kept, so the table
of a million exchanges has some hundred entries. A stage of the kernel on the deterministic clock
takes so few different times that its table is exact, and short.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Table = tuple[tuple[int, int], ...]

#: Up to this number every value is kept; from there on one for each step.
_EXACT = 16
_STEP = 1.2


def table(values: npt.NDArray[np.int64]) -> Table:
    """The table of these values (ns, in any order); empty without any."""
    found, counts = np.unique(values, return_counts=True)
    least = np.cumsum(counts[::-1])
    kept: list[tuple[int, int]] = []
    for value, count in zip(found[::-1].tolist(), least.tolist(), strict=True):
        last = kept[-1][1] if kept else 0
        if count <= _EXACT or count >= _STEP * last or count == values.size:
            kept.append((value, count))
    return tuple(kept)


def beyond(of: Table, ns: float) -> int:
    """How many took longer than ``ns``; for more than a few at least so many."""
    return max((count for value, count in of if value > ns), default=0)


def middle(of: Table) -> int:
    """The median in ns, or the next lower value that was kept."""
    half = of[-1][1] / 2
    return next(value for value, count in of if count >= half)


def require_sound(of: Table) -> None:
    """Raise :class:`ValueError` unless values (ns) fall and numbers rise."""
    for (slow, few), (fast, many) in pairwise(((2**63, 0), *of)):
        if not (slow > fast >= 0 and few < many):
            raise ValueError(f"values do not fall while their numbers rise: {[*of]}")
