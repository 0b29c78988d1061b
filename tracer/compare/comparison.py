# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares runs: which exchange types and stages became slower or faster, and how sure that is.

This only computes; :mod:`tracer.report.comparison` prints. These are the rules for a *line*, which
is one quantile of one stage of one type of exchange:

- The *change* is the difference of the two sides' levels (trimmed means over the runs).
- The *margin* is the smallest change that matters: the larger of 2 % of the base and 100 ns.
- ``slower``, ``faster``: the change is at least the margin, its interval excludes 0, and no
  chance division of the runs explains it (:func:`tracer.compare.resample.permutation_test`).
- ``same``: the whole interval lies within the margin. So ``same`` is proven (an equivalence test,
  Schuirmann 1987); it does not mean that a change could not be proven.
- ``inconclusive``: anything else, with the reason, and the margin with which it would be ``same``.

A line with one of the first three verdicts is *settled*. The comparison as a whole is ``same``
only if every quantile of the stages that decide is settled, the tails (p90, p99) included.

On the deterministic clock a run repeats, so one a side is enough. A median's interval is that
within the runs, widened by how well it repeats (:mod:`tracer.compare.repeatability`). A line
counts as moved from nine tenths of the margin on, so that a rise of exactly the margin is found as
surely as a larger one. For p90 and p99 the slow exchanges are counted
(:mod:`tracer.compare.tails`). If no stages are asked for, the stages within the kernel decide,
because a Python program's own stages do not repeat well enough.

On a wall clock the runs of a side differ; :mod:`tracer.compare.wall_clock` has its rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tracer.compare import repeatability, resample, tails
from tracer.compare.comparable import notes, require_comparable
from tracer.compare.conditions import ORDER
from tracer.compare.digest import MEDIAN, MINIMUM, VALUES, Digest, digest
from tracer.compare.order import unmixed
from tracer.compare.resample import Floats
from tracer.compare.verdicts import (
    EXIT_STATUS,
    FASTER,
    INCONCLUSIVE,
    SAME,
    SLOWER,
    Judged,
    Options,
    Sides,
    judged,
)
from tracer.compare.wall_clock import between_runs, too_few
from tracer.errors import TracerError

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

__all__ = [
    "FASTER",
    "INCONCLUSIVE",
    "SAME",
    "SLOWER",
    "Comparison",
    "Options",
    "compare",
    "compare_digests",
]

_TOO_FEW = f"has {min(MINIMUM.values())} settled exchanges in every run"
_NEAR = 0.9


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    ``lines``: channel, name, stage, quantile, decides (the overall verdict needs it settled),
    base_ns, new_ns, change_ns (new - base), change (share of the base), low_ns and high_ns
    (interval of the change), margin_ns, p (adjusted for all lines; NA without a test), verdict.
    An inconclusive line also has why (the reason), same_within_ns (it would be ``same`` with any
    larger margin; NA if with none) and more_runs (how many more a side would settle it; NA if
    too many, or if they would not help). If its slow exchanges were counted
    (:mod:`tracer.compare.tails`), a line has slow_from_ns (an exchange is slow if it took longer),
    base_slow of base_count and new_slow of new_count exchanges, but no low_ns and high_ns.
    ``moved``: for each type the stage that contributes most to its change: channel, name,
    stage, verdict, change_ns, share (of the change of the type's total; NaN if that is not
    slower or faster).
    ``notes``: further facts for the reader, a text each. ``unmixed``: why no line can be settled
    on a wall clock, because the sides were not recorded in turn (:mod:`tracer.compare.order`).
    ``too_few``: why only gross changes can, because there are too few runs
    (:mod:`tracer.compare.wall_clock`). Both are empty if they do not apply.
    """

    verdict: str
    lines: pd.DataFrame
    moved: pd.DataFrame
    base: tuple[str, ...]
    new: tuple[str, ...]
    deterministic: bool
    notes: tuple[str, ...]
    options: Options
    unmixed: str = ""
    too_few: str = ""

    @property
    def exit_status(self) -> int:
        """0 same or faster, 1 slower, 3 inconclusive."""
        return EXIT_STATUS[self.verdict]

    @property
    def more_runs(self) -> int | None:
        """How many more runs on each side would settle every deciding line.

        None if all are settled, or if more runs would not settle one of them.
        """
        needed = self._deciding_open["more_runs"]
        return int(needed.max()) if len(needed) and needed.notna().all() else None

    @property
    def same_within(self) -> float | None:
        """The smallest ``min_effect`` with which every deciding line would be settled.

        A share of the base, rounded up to a tenth of a percent. None if all are settled, or if
        no margin would settle one of them.
        """
        lines = self._deciding_open
        shares = lines["same_within_ns"] / lines["base_ns"]
        if not len(lines) or shares.isna().any() or np.isinf(shares).any():
            return None
        return within(float(shares.max()))

    @property
    def _deciding_open(self) -> pd.DataFrame:
        return self.lines[self.lines["decides"] & (self.lines["verdict"] == INCONCLUSIVE)]


def compare(
    base: Sequence[Frames], new: Sequence[Frames], options: Options | None = None
) -> Comparison:
    """Compare two sides, each of one run or several.

    Raises :class:`TracerError` when the runs are not comparable, or have no line in common.
    """
    return compare_digests([digest(run) for run in base], [digest(run) for run in new], options)


def compare_digests(
    base: Sequence[Digest], new: Sequence[Digest], options: Options | None = None
) -> Comparison:
    """The same as :func:`compare`, for runs that were reduced to digests before."""
    options = options or Options()
    require_comparable(base, new, options.allow, options.types, options.same_workload)
    index, values = _common_lines([*base, *new], options)
    sides = Sides(_by_name(values[: len(base)]), _by_name(values[len(base) :]))
    deterministic = all(run.deterministic for run in (*base, *new))
    waived = deterministic or ORDER in options.allow
    out_of_turn = "" if waived else unmixed(base, new)
    lines = _judge(index.to_frame(index=False), sides, deterministic, not out_of_turn, options)
    if deterministic:
        lines = _with_tails(lines, base, new, options)
    return Comparison(
        verdict=_overall(lines),
        lines=lines,
        moved=_moved(lines),
        base=tuple(run.name for run in base),
        new=tuple(run.name for run in new),
        deterministic=deterministic,
        notes=notes(base, new, index, options.allow, options.types),
        options=options,
        unmixed=out_of_turn,
        too_few="" if deterministic else too_few(len(base), len(new), options.false_alarms),
    )


def within(share: float) -> float:
    """``share`` rounded up to a tenth of a percent, and always to a larger number.

    As ``min_effect`` it makes a margin within which an interval that reaches to ``share`` lies.
    """
    return (floor(share * 1000) + 1) / 1000


# --------------------------------------------------------------------------
# The numbers


def _common_lines(runs: Sequence[Digest], options: Options) -> tuple[pd.MultiIndex, Floats]:
    """The lines that every run has, as far as the options select them, and their numbers.

    The numbers are an array of runs x lines x `VALUES`. Raises :class:`TracerError` if a type or
    stage that was asked for has no line: whoever names one relies on its being compared.
    """
    index, values = _aligned(runs)
    if options.types:
        channel, name = (index.get_level_values(level) for level in ("channel", "name"))
        _require_all("type", options.types, [*channel, *name])
        wanted = channel.isin(options.types) | name.isin(options.types)
        index, values = index[wanted], values[:, wanted]
    stage = index.get_level_values("stage")
    if options.stages:
        _require_all("stage", options.stages, stage)
        wanted = stage.isin(options.stages)
    else:
        # Lines of what is explained in every run are left out.
        unexplained = np.asarray(stage == "unexplained", np.bool_)
        wanted = ~unexplained | (values[:, :, VALUES.index("value_ns")] != 0).any(axis=0)
    index, values = index[wanted], values[:, wanted]
    if not len(index):
        raise TracerError("nothing to compare", f"no type {_TOO_FEW}", "record more exchanges")
    return index, values


def _aligned(runs: Sequence[Digest]) -> tuple[pd.MultiIndex, Floats]:
    """The lines that every run has, in the order of the first, and their numbers."""
    first = runs[0].lines.index
    index = first
    # Most runs have the same lines in the same order; to find each line anew takes long.
    names = first.to_list()
    alike = [run.lines.index.to_list() == names for run in runs]
    for run, same in zip(runs, alike, strict=True):
        if not same:
            index = index[index.isin(run.lines.index)]
    whole = index is first
    tables = []
    for run, same in zip(runs, alike, strict=True):
        values = run.lines.to_numpy(np.float64)
        as_they_are = whole and same
        tables.append(values if as_they_are else values[run.lines.index.get_indexer(index)])
    return index, np.stack(tables)


def _require_all(kind: str, asked: Sequence[str], present: Iterable[str]) -> None:
    """Raise :class:`TracerError` unless everything that was asked for is present."""
    choice = list(dict.fromkeys(present))
    for name in asked:
        if name not in choice:
            raise TracerError(
                "nothing to compare",
                f"no {kind} {name!r} {_TOO_FEW}",
                f"choose from: {', '.join(choice)}" if choice else "record more exchanges",
            )


def _by_name(values: Floats) -> dict[str, Floats]:
    """The numbers of one side, by name: each an array of runs x lines."""
    return dict(zip(VALUES, np.moveaxis(values, -1, 0).copy(), strict=True))


def _judge(
    lines: pd.DataFrame, sides: Sides, deterministic: bool, in_turn: bool, options: Options
) -> pd.DataFrame:
    """Add the columns of ``Comparison.lines`` to the key columns."""
    base, new = sides.base["value_ns"], sides.new["value_ns"]
    base_level, new_level = resample.level(base), resample.level(new)
    change = new_level - base_level
    margin = np.maximum(options.min_effect * base_level, options.min_effect_ns)
    lines["decides"] = _decides(lines, deterministic, options)
    lines["base_ns"], lines["new_ns"], lines["change_ns"] = base_level, new_level, change
    lines["change"] = np.divide(
        change, base_level, out=np.full(change.size, np.nan), where=base_level > 0
    )
    if deterministic:
        repeats = repeatability.bounds(lines["stage"], lines["quantile"], base_level)
        found = _within_runs(sides, change, margin, repeats)
    else:
        found = between_runs(sides, change, margin, options, in_turn)
    lines["low_ns"], lines["high_ns"], lines["margin_ns"] = found.low, found.high, margin
    lines["p"], lines["verdict"], lines["why"] = _with_gaps(found.p), found.verdicts, found.why
    lines["same_within_ns"] = _with_gaps(found.same_within)
    lines["more_runs"] = _with_gaps(found.more_runs).astype("Int64")
    settled = lines["verdict"] != INCONCLUSIVE
    lines.loc[settled, ["same_within_ns", "more_runs"]] = pd.NA
    for name in tails.COLUMNS:
        lines[name] = pd.array([pd.NA] * len(lines), "Int64")
    return lines


def _with_gaps(values: Floats) -> pd.Series[Any]:
    """The values, NA where they are NaN."""
    return pd.Series(pd.arrays.FloatingArray(values.copy(), np.isnan(values)))


def _with_tails(
    lines: pd.DataFrame, base: Sequence[Digest], new: Sequence[Digest], options: Options
) -> pd.DataFrame:
    """The lines, with those of p90 and p99 judged by counts of slow exchanges."""
    beyond = lines["quantile"] != MEDIAN
    found = tails.judge(lines[beyond], base, new, options.false_alarms)
    for name in found:
        lines.loc[beyond, name] = found[name]
    lines.loc[beyond, ["low_ns", "high_ns"]] = np.nan
    lines.loc[beyond, ["same_within_ns", "more_runs"]] = pd.NA
    return lines


def _decides(lines: pd.DataFrame, deterministic: bool, options: Options) -> pd.Series[bool]:
    """The lines that must be settled: those of the stages that were asked for.

    If none was asked for, those of the total; on the deterministic clock those of the kernel's
    stages.
    """
    if options.stages:
        return pd.Series(True, lines.index)
    if deterministic:
        return ~lines["stage"].isin(repeatability.USER_STAGES)
    return lines["stage"] == "total"


def _within_runs(sides: Sides, change: Floats, margin: Floats, repeats: Floats) -> Judged:
    """Judge the lines by the spread within the runs (deterministic clock).

    Each run has an interval for its quantile. The intervals of one side's runs are combined into
    that of their level, and those of both sides into that of the change, by adding the squares
    of the distances from the middle (Zou & Donner, "Construction of confidence limits about
    effect measures", Statistics in Medicine 27, 2008). ``repeats`` (ns) is by how much each
    line may differ from boot to boot without a cause. It does not average out like chance, so
    it is added in full.
    """
    down, up = [
        [
            np.sqrt(np.square(side[end] - side["value_ns"]).sum(axis=0)) / len(side[end])
            for side in (sides.base, sides.new)
        ]
        for end in ("low_ns", "high_ns")
    ]
    low, high = change - np.hypot(down[1], up[0]), change + np.hypot(up[1], down[0])
    known = np.maximum(high - change, change - low)
    low, high = low - repeats, high + repeats
    always, none = np.ones(change.size, np.bool_), np.full(change.size, np.nan)
    verdicts = judged(change, low, high, margin, always, reached=_NEAR * margin)
    count = np.minimum(sides.base["count"].min(axis=0), sides.new["count"].min(axis=0))
    why = [
        _why_counted(*line) if verdict == INCONCLUSIVE else ""
        for verdict, *line in zip(verdicts, change, known, repeats, margin, count, strict=True)
    ]
    widest = np.maximum(np.abs(low), np.abs(high))
    return Judged(low, high, none, verdicts, why, widest, none)


def _why_counted(change: float, known: float, repeats: float, margin: float, count: float) -> str:
    """Why a line is inconclusive on the deterministic clock. Times in ns.

    ``known``: half the width of the change's interval within the runs; ``repeats``: by how much
    the line may differ from boot to boot; ``count``: exchanges a run.
    """
    if known > repeats:
        wide = f"{count:,.0f} exchanges a run tell its change to {known:,.0f} ns only"
        return f"{wide}, the margin is {margin:,.0f}"
    if repeats >= margin:
        return f"it repeats to {repeats:,.0f} ns from boot to boot, the margin is {margin:,.0f}"
    return (
        f"its change of {change:+,.0f} ns, which repeats to {repeats:,.0f}, "
        f"lies too near the margin of {margin:,.0f}"
    )


# --------------------------------------------------------------------------
# What they say together


def _overall(lines: pd.DataFrame) -> str:
    """``slower`` if any line is; else ``inconclusive`` unless all deciding lines are settled."""
    verdicts = lines["verdict"]
    if (verdicts == SLOWER).any():
        return SLOWER
    deciding = verdicts[lines["decides"]]
    if deciding.empty or (deciding == INCONCLUSIVE).any():
        return INCONCLUSIVE
    return FASTER if (verdicts == FASTER).any() else SAME


def _moved(lines: pd.DataFrame) -> pd.DataFrame:
    """``Comparison.moved``: by type the stage whose median became slower (else faster) by most."""
    rows = []
    moved = lines[(lines["quantile"] == MEDIAN) & lines["verdict"].isin([SLOWER, FASTER])]
    for (channel, name), group in moved.groupby(["channel", "name"], sort=False):
        total = group[group["stage"] == "total"]
        settled = group[group["stage"] != "total"]
        if (settled["verdict"] == SLOWER).any():
            settled = settled[settled["verdict"] == SLOWER]
        if settled.empty:
            continue
        most = settled.loc[settled["change_ns"].abs().idxmax()]
        whole = float(total["change_ns"].iloc[0]) if len(total) else np.nan
        share = most["change_ns"] / whole if whole else np.nan
        rows.append((channel, name, most["stage"], most["verdict"], most["change_ns"], share))
    return pd.DataFrame(rows, columns=["channel", "name", "stage", "verdict", "change_ns", "share"])
