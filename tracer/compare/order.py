# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the runs of two sides were recorded in turn (base, new, base, new, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tracer.compare.digest import Digest

#: Tolerance for rounding errors in sums of shares.
_ROUNDED = 1e-9


def started_at(text: str) -> datetime | None:
    """The start of a recording from the text in ``meta.json``; None if it is no time.

    A text without a time zone is taken for UTC.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def unmixed(base: Sequence[Digest], new: Sequence[Digest]) -> str:
    """Why these sides do not count as recorded in turn; empty if they do.

    A machine drifts: it grows warm, or busy. If one side is recorded more in the slow phase than
    the other, the drift looks like a change. How unevenly the sides lie in time is measured by
    the *lead*: at each time, take the share of the base runs and the share of the new runs that
    were recorded by then; the lead is the largest difference of the two at any time. It is 1 if
    one side was recorded after the other, and 1 / n for n runs a side in turn. A drift moves
    the difference of the two means by at most the lead times the sum of all its ups and downs
    (the inequality of Koksma, 1942; Kuipers & Niederreiter, "Uniform Distribution of Sequences",
    1974, theorem 2.5.1).

    Chance moves the difference of two means by ``sqrt(1 / n + 1 / m)`` times the spread of the
    runs. The lead may be as large as that factor divided by the root of two, which is
    ``1 / sqrt(n)`` for n runs a side, so that a drift weighs no more than chance, which the tests
    account for. So one side may be ahead by 2 runs of 5, 3 of 10, 4 of 20. It may never be 1.

    If runs began at the same moment, the worst possible order is assumed. If a run does not say
    when it began, the sides do not count as recorded in turn.
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
    """The lead of :func:`unmixed`, and a text that says where it occurred."""
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
