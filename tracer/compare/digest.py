# SPDX-License-Identifier: GPL-2.0-or-later
"""The digest of a run: the numbers of it that a comparison needs.

These are quantiles and tails by type and stage, and the conditions under which it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.compare import survival
from tracer.correlate.stages import STAGES
from tracer.tables.outcomes import SETTLED, reasons

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

KEY = ["channel", "name", "stage", "quantile"]
VALUES = ["count", "value_ns", "low_ns", "high_ns", "fast_ns", "slow_ns"]
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
MEDIAN = "p50"
MINIMUM = {"p50": 10, "p90": 30, "p99": 300}
"""How many exchanges a run needs for a quantile: so many that three are beyond it, at least 10."""
Tails = dict[tuple[str, str, str], survival.Table]
#: The interval of a quantile within a run reaches so many standard deviations to both sides: 99.9 %
#: of the normal distribution.
_WITHIN = 3.29


@dataclass(frozen=True)
class Digest:
    """One run, reduced to what a comparison needs.

    lines
        Indexed by channel, name, stage and quantile, if the run has enough settled exchanges
        for that quantile. Columns (`VALUES`, in that order): count (exchanges), value_ns (the
        quantile), low_ns and high_ns (its 99.9 % interval within the run), fast_ns and slow_ns
        (p10 and p90 of the same stage).
    tails
        How many exchanges took at least how long (:mod:`tracer.compare.survival`), by channel,
        name and stage.
    conditions, remarks
        Facts that must agree between runs, and facts that are noted if they do not.
    left_out
        By type, a text for each quantile for which there are too few exchanges.
    outcomes
        By type, the shares of exchanges that succeeded (``ok``) and failed (``error``).
    """

    name: str
    lines: pd.DataFrame
    conditions: dict[str, Any]
    deterministic: bool = False
    reasons: tuple[str, ...] = ()
    started: str = ""
    remarks: dict[str, str] = field(default_factory=dict)
    left_out: tuple[tuple[tuple[str, str], str], ...] = ()
    outcomes: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    tails: Tails = field(default_factory=dict)


def digest(run: Frames) -> Digest:
    """Reduce ``run`` to a digest. Quantiles and tails are those of settled exchanges."""
    meta = run.meta
    lines, left_out = quantile_lines(run.exchanges)
    clock = meta.get("clock") or {}
    plan = {(row["point"], row["site"], row["target"]) for row in meta.get("plan") or []}
    return Digest(
        name=str(run.path),
        lines=lines,
        conditions={
            "plan": frozenset(plan),
            "kernel": f"{meta.get('kernel', '?')} {meta.get('machine', '')}".strip(),
            "clock": _clock(clock),
        },
        deterministic=bool(clock.get("deterministic")),
        reasons=() if run.trusted else tuple(reasons(run)),
        started=str(meta.get("started", "")),
        remarks={
            "host": str(meta.get("host", "?")),
            "module build": str((meta.get("module") or {}).get("build_id", "none")),
        },
        left_out=left_out,
        outcomes=_outcomes(run.exchanges),
        tails=tails(run.exchanges),
    )


def quantile_lines(
    exchanges: pd.DataFrame,
) -> tuple[pd.DataFrame, tuple[tuple[tuple[str, str], str], ...]]:
    """``Digest.lines`` and ``Digest.left_out`` of a run's exchanges."""
    left_out = tuple(
        ((channel, name), f"{channel}, {name}: {quantile} needs {least} exchanges a run")
        for channel, name, group in _types(_settled(exchanges))
        for quantile, least in MINIMUM.items()
        if len(group) < least
    )
    rows = [(*stage, *line) for stage, values in _stages(exchanges) for line in _lines(values)]
    return pd.DataFrame(rows, columns=[*KEY, *VALUES]).set_index(KEY), left_out


def tails(exchanges: pd.DataFrame) -> Tails:
    """``Digest.tails`` of a run's exchanges, for stages that have a quantile beyond p50."""
    least = min(least for name, least in MINIMUM.items() if name != MEDIAN)
    return {
        stage: survival.table(values)
        for stage, values in _stages(exchanges)
        if values.size >= least
    }


def _settled(exchanges: pd.DataFrame) -> pd.DataFrame:
    return exchanges[exchanges["status"].isin(SETTLED)]


def _stages(
    exchanges: pd.DataFrame,
) -> Iterator[tuple[tuple[str, str, str], npt.NDArray[np.int64]]]:
    """((channel, name, stage), times in ns in rising order) of every type and stage."""
    for channel, name, group in _types(_settled(exchanges)):
        for stage in (*STAGES, "unexplained", "total"):
            values = np.sort(np.asarray(group[f"{stage}_ns"].dropna(), np.int64))
            yield (channel, name, stage), values


def _lines(ordered: npt.NDArray[np.int64]) -> Iterator[tuple[str, int, int, int, int, int, int]]:
    """A line for each quantile for which there are enough values; each is a value that occurred.

    The ends of a quantile's interval are values too: the rank of a quantile among the values
    follows the binomial distribution, of which the normal approximation is used here (David &
    Nagaraja, "Order Statistics", 2003, section 7.1).
    """
    count = ordered.size

    def at(rank: float) -> int:
        return int(ordered[min(max(ceil(rank), 1), count) - 1])

    for name, q in QUANTILES.items():
        if count >= MINIMUM[name]:
            spread = _WITHIN * np.sqrt(count * q * (1 - q))
            ranks = count * q, count * q - spread, count * q + spread + 1
            value, low, high = (at(rank) for rank in ranks)
            yield name, count, value, low, high, at(count * 0.1), at(count * 0.9)


def _types(exchanges: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    keys = [exchanges["channel"].astype(str), exchanges["name"].astype(str)]
    for (channel, name), group in exchanges.groupby(keys, sort=True):
        yield str(channel), str(name), group


def _outcomes(exchanges: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    return {
        (channel, name): (
            float((group["status"] == "ok").mean()),
            float((group["status"] == "error").mean()),
        )
        for channel, name, group in _types(exchanges)
    }


def _clock(clock: dict[str, Any]) -> str:
    counted = ", counts instructions" if clock.get("deterministic") else ""
    return f"{clock.get('name', '?')} from {clock.get('source', '?')}{counted}"
