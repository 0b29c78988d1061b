# SPDX-License-Identifier: GPL-2.0-or-later
"""Which runs may be compared, and what a reader of the comparison should know besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tracer.digest import Digest
from tracer.errors import TracerError

CONDITIONS = ("plan", "kernel", "clock", "untrusted")
"""What makes runs incomparable, by the name that ``Options.allow`` takes."""
_OTHER_SHARE = 0.01


def require_comparable(
    base: Sequence[Digest], new: Sequence[Digest], allow: frozenset[str]
) -> None:
    """Raise :class:`TracerError` unless all runs share plan, kernel and clock and are trusted.

    ``allow`` names the conditions that are waived.
    """
    what = "cannot compare"
    if not base or not new:
        raise TracerError(what, "a side has no run", "give at least one recording for each side")
    for run in (*base, *new):
        if run.reasons and "untrusted" not in allow:
            raise TracerError(
                what, f"{run.name} is untrusted ({run.reasons[0]})",
                "record it again, or say --allow untrusted",
            )  # fmt: skip
    first = base[0]
    for run in (*base[1:], *new):
        for name, here in first.conditions.items():
            there = run.conditions[name]
            if here != there and name not in allow:
                raise TracerError(
                    what, f"{first.name} and {run.name} differ in {name}: {_differ(here, there)}",
                    f"record both under the same {name}, or say --allow {name}",
                )  # fmt: skip


def _differ(here: Any, there: Any) -> str:
    if not isinstance(here, frozenset):
        return f"{here} against {there}"
    ours, theirs = sorted(here - there), sorted(there - here)
    more = max(len(ours), len(theirs)) - 1
    one = [" ".join(sites[0]) if sites else "no such site" for sites in (ours, theirs)]
    return " against ".join(one) + (f" and {more} more" if more else "")


def notes(
    base: Sequence[Digest], new: Sequence[Digest], index: pd.MultiIndex, allow: frozenset[str]
) -> tuple[str, ...]:
    """A line each: waived conditions, other hosts or module builds, drift, what was left out.

    ``index`` holds the lines that are compared.
    """
    runs = (*base, *new)
    deterministic = all(run.deterministic for run in runs)
    told = [f"compared although these may differ: {', '.join(sorted(allow))}"] if allow else []
    for what in runs[0].remarks:
        found = sorted({run.remarks[what] for run in runs if what in run.remarks})
        if len(found) > 1 and not (what == "host" and deterministic):
            told.append(f"the {what} differs: {', '.join(found)}")
    if not deterministic and min(len(base), len(new)) > 1 and not _alternate(base, new):
        told.append(
            "one side was recorded after the other: a drift of the machine counts as change"
        )
    told += [*_one_sided(base, new), *_other_outcomes(base, new), *_left_out(runs, index)]
    return tuple(told)


def _left_out(runs: Sequence[Digest], index: pd.MultiIndex) -> Iterator[str]:
    """Quantiles and stages of the compared types that not every run has enough of."""
    compared = {key[:2] for key in index}
    yield from sorted({text for run in runs for kind, text in run.left_out if kind in compared})
    seen = [{key[:3] for key in run.lines.index if key[:2] in compared} for run in runs]
    for channel, name, stage in sorted(set.union(*seen) - set.intersection(*seen)):
        yield f"{channel}, {name}: {stage} is not in every run"


def _alternate(base: Sequence[Digest], new: Sequence[Digest]) -> bool:
    """Whether neither side ended before the other began."""
    old, late = [run.started for run in base], [run.started for run in new]
    return min(late) <= max(old) and min(old) <= max(late)


def _one_sided(base: Sequence[Digest], new: Sequence[Digest]) -> Iterator[str]:
    sides = [set[tuple[str, str]]().union(*(run.outcomes for run in side)) for side in (base, new)]
    for here, other, name in ((sides[0], sides[1], "base"), (sides[1], sides[0], "new")):
        for channel, kind in sorted(here - other):
            yield f"{channel}, {kind}: only in {name}"


def _other_outcomes(base: Sequence[Digest], new: Sequence[Digest]) -> Iterator[str]:
    """Types of which a smaller or larger share was settled (ok, error): a word, no verdict."""
    for kind in sorted(set(base[0].outcomes) & set(new[0].outcomes)):
        shares = [
            float(np.mean([run.outcomes[kind] for run in side if kind in run.outcomes]))
            for side in (base, new)
        ]
        if abs(shares[1] - shares[0]) >= _OTHER_SHARE:
            yield (
                f"{kind[0]}, {kind[1]}: {shares[1]:.1%} of the exchanges were completed, "
                f"{shares[0]:.1%} in base"
            )
