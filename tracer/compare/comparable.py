# SPDX-License-Identifier: GPL-2.0-or-later
"""Refuses runs that cannot be compared, and makes the notes that go with a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tracer.compare.conditions import ORDER, WORKLOAD
from tracer.compare.digest import Digest
from tracer.compare.order import unmixed
from tracer.errors import TracerError

_OTHER_SHARE = 0.01
_OTHER_COUNT = 0.1
Kind = tuple[str, str]


def require_comparable(
    base: Sequence[Digest],
    new: Sequence[Digest],
    allow: frozenset[str],
    types: Sequence[str] = (),
    same_workload: bool = False,
) -> None:
    """Raise :class:`TracerError` unless the runs may be compared.

    - All must be trusted and have the same plan, kernel and clock.
    - The shares of exchanges that succeed and fail must be alike on both sides, because a
      request that fails early is fast.
    - With ``same_workload``, and always if all runs are on the deterministic clock, every run
      must have the same number of exchanges of each type, whatever their status, because the
      median of another workload may be anything.

    ``types`` (channels or names) restricts the last two; without any, all types count. ``allow``
    names the conditions that are not required.
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
    exact = same_workload or all(run.deterministic for run in (*base, *new))
    other = _other_workload(base, new, types) if exact and WORKLOAD not in allow else ""
    if other:
        raise TracerError(
            what, other, f"record the same {WORKLOAD}, or say --allow {WORKLOAD}",
        )  # fmt: skip
    differing = () if "outcomes" in allow else tuple(_other_outcomes(base, new, types))
    if differing:
        raise TracerError(
            what, differing[0], "find out why, or say --allow outcomes",
        )  # fmt: skip


def _differ(here: Any, there: Any) -> str:
    if not isinstance(here, frozenset):
        return f"{here} against {there}"
    ours, theirs = sorted(here - there), sorted(there - here)
    more = max(len(ours), len(theirs)) - 1
    one = [" ".join(sites[0]) if sites else "no such site" for sites in (ours, theirs)]
    return " against ".join(one) + (f" and {more} more" if more else "")


def notes(
    base: Sequence[Digest],
    new: Sequence[Digest],
    index: pd.MultiIndex,
    allow: frozenset[str],
    types: Sequence[str] = (),
) -> tuple[str, ...]:
    """The notes: conditions that were allowed, other hosts or module builds, drift, gaps.

    ``index`` holds the lines that are compared; ``types`` are those that were asked for, which
    every run has.
    """
    runs = (*base, *new)
    deterministic = all(run.deterministic for run in runs)
    told = [f"compared although these may differ: {', '.join(sorted(allow))}"] if allow else []
    for what in runs[0].remarks:
        found = sorted({run.remarks[what] for run in runs if what in run.remarks})
        if len(found) > 1 and not (what == "host" and deterministic):
            told.append(f"the {what} differs: {', '.join(found)}")
    if not deterministic and ORDER in allow and (why := unmixed(base, new)):
        told.append(f"{why}: a drift of the machine counts as change")
    told += [] if types else _one_sided(base, new)
    told += _other_counts(base, new, types)
    told += [*_other_outcomes(base, new, types), *_left_out(runs, index)]
    return tuple(told)


def _left_out(runs: Sequence[Digest], index: pd.MultiIndex) -> Iterator[str]:
    """Quantiles and stages of the compared types for which some run has too few exchanges."""
    compared = {key[:2] for key in index}
    yield from sorted({text for run in runs for kind, text in run.left_out if kind in compared})
    seen = [{key[:3] for key in run.lines.index if key[:2] in compared} for run in runs]
    for channel, name, stage in sorted(set.union(*seen) - set.intersection(*seen)):
        yield f"{channel}, {name}: {stage} is not in every run"


def _one_sided(base: Sequence[Digest], new: Sequence[Digest]) -> Iterator[str]:
    sides = [set[tuple[str, str]]().union(*(run.outcomes for run in side)) for side in (base, new)]
    for here, other, name in ((sides[0], sides[1], "base"), (sides[1], sides[0], "new")):
        for channel, kind in sorted(here - other):
            yield f"{channel}, {kind}: only in {name}"


def _other_outcomes(
    base: Sequence[Digest], new: Sequence[Digest], types: Sequence[str] = ()
) -> Iterator[str]:
    """The types whose shares of success and failure differ from base by 1 % or more.

    Types that have too few exchanges for a line are left out, because one failure among a few
    exchanges is a large share.
    """
    counted = {key[:2] for side in (base, new) for key in _in_all(side)}
    for kind in sorted(set(base[0].outcomes) & set(new[0].outcomes) & counted):
        if types and not set(kind) & set(types):
            continue
        before, after = (
            np.mean([run.outcomes[kind] for run in side if kind in run.outcomes], axis=0)
            for side in (base, new)
        )
        if np.abs(after - before).max() >= _OTHER_SHARE:
            yield (
                f"{kind[0]}, {kind[1]}: {after[0]:.1%} succeeded and {after[1]:.1%} failed, "
                f"in base {before[0]:.1%} and {before[1]:.1%}"
            )


def _workload(run: Digest, types: Sequence[str]) -> dict[Kind, int]:
    """How many exchanges of each type a run holds, whatever their status.

    A digest does not say that directly. Its lines count the settled exchanges, and its outcomes
    say what share of all exchanges these are. Types with too few exchanges have no line and
    are left out.
    """
    counts: dict[Kind, int] = {}
    for (channel, name, *_), settled in zip(run.lines.index, run.lines["count"], strict=True):
        kind = channel, name
        if not types or set(kind) & set(types):
            counts[kind] = max(settled, counts.get(kind, 0))
    return {
        kind: round(settled / (sum(run.outcomes.get(kind, (1.0, 0.0))) or 1.0))
        for kind, settled in counts.items()
    }


def _other_workload(base: Sequence[Digest], new: Sequence[Digest], types: Sequence[str]) -> str:
    """A text about the first run that has another number of some type's exchanges; "" if none."""
    first = _workload(base[0], types)
    for run in (*base[1:], *new):
        here = _workload(run, types)
        for kind in sorted(first.keys() | here.keys()):
            if first.get(kind) != here.get(kind):
                told = [
                    f"{count[kind]:,}" if kind in count else "too few" for count in (first, here)
                ]
                return (
                    f"{base[0].name} and {run.name} differ in {WORKLOAD}: "
                    f"{', '.join(kind)}: {told[0]} exchanges against {told[1]}"
                )
    return ""


def _other_counts(
    base: Sequence[Digest], new: Sequence[Digest], types: Sequence[str]
) -> Iterator[str]:
    """The types whose number of exchanges a run differs between the sides by a tenth or more."""
    sides = [[_workload(run, types) for run in side] for side in (base, new)]
    for kind in sorted(set.intersection(*(set(counts) for side in sides for counts in side))):
        before, after = (float(np.mean([counts[kind] for counts in side])) for side in sides)
        if abs(after - before) >= _OTHER_COUNT * before:
            yield (
                f"{', '.join(kind)}: {after:,.0f} exchanges a run, in base {before:,.0f}: "
                "another workload?"
            )


def _in_all(side: Sequence[Digest]) -> set[tuple[str, ...]]:
    """The lines that every run of one side has."""
    return set.intersection(*({*run.lines.index} for run in side))
