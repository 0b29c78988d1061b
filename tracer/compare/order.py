# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order runs were recorded, and whether those of two sides were recorded in turn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tracer.compare.digest import Digest

#: Room for the error of a sum of shares.
_ROUNDED = 1e-9


def started_at(text: str) -> datetime | None:
    """The start of a recording as ``meta.json`` has it; UTC where it names no zone.

    None for what is no time.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def unmixed(base: Sequence[Digest], new: Sequence[Digest]) -> str:
    """Why these sides do not count as recorded in turn; empty when they do.

    Whatever else the machine does meanwhile, growing warm or busy, moves the mean of one side
    against that of the other by at most *lead* times all its ups and downs together, where the
    lead is the largest difference, at any time, between the shares of the two sides that were
    recorded by then (the inequality of Koksma, 1942; Kuipers & Niederreiter, "Uniform
    Distribution of Sequences", 1974, theorem 2.5.1). It is 1 for one side after the other, and
    1 / n for n runs a side in turn. Chance moves the difference of two means by
    ``sqrt(1 / n + 1 / m)`` times the spread of the runs. The lead may be as large as that over
    the root of two (``1 / sqrt(n)`` for n runs a side), so that a drift weighs no more than
    the chance that is tested: 2 runs of 5, 3 of 10, 4 of 20. And never 1.

    Of runs that began at the same moment nobody knows the order, so the worst one counts; a
    run that does not say when it began is taken for one out of turn.
    """
    starts = []
    for run in (*base, *new):
        at = started_at(run.started)
        if at is None:
            return f"when {run.name} was recorded is not known, nor whether the sides were in turn"
        starts.append(at)
    lead, told = _lead(starts[: len(base)], starts[len(base) :])
    if lead < 1 - _ROUNDED and lead <= np.sqrt((1 / len(base) + 1 / len(new)) / 2) + _ROUNDED:
        return ""
    return f"the sides were not recorded in turn ({told})"


def _lead(base: Sequence[datetime], new: Sequence[datetime]) -> tuple[float, str]:
    """The largest difference between the shares recorded at any time, and where it is."""
    worst, told = 0.0, ""
    steps = [(at, 0) for at in base] + [(at, 1) for at in new]
    for first in (1, -1):
        sides = np.array([side for _, side in sorted(steps, key=lambda s: (s[0], first * s[1]))])
        done = np.cumsum(sides == 0), np.cumsum(sides == 1)
        apart = np.abs(done[0] / len(base) - done[1] / len(new))
        most = int(apart.argmax())
        if apart[most] > worst:
            worst = float(apart[most])
            told = (
                f"at one time {done[0][most]} of {len(base)} runs of base "
                f"and {done[1][most]} of {len(new)} of new"
            )
    return worst, told
