# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of a report, computed from a run's frames."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tracer.correlate.pieces import STAGES
from tracer.report.units import count_text, printable

if TYPE_CHECKING:
    from tracer.frames import Run

SETTLED = ("ok", "error")
"""Statuses of exchanges that are complete; others would blur the stages."""
SIZES = ("request_bytes", "reply_bytes", "copied_bytes")
_QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
_STAGE_COLUMNS = ("channel", "name", "stage", "count", *(f"{q}_ns" for q in _QUANTILES), "share")


def stage_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """Where the time went, from settled exchanges only.

    One row per channel, name and stage that was seen, in the order of the path,
    then ``unexplained`` and ``total``: count (exchanges that have the stage),
    p50_ns, p90_ns, p99_ns, max_ns (of an exchange's sum of that stage), share
    (of the group's total time, 0 to 1).
    """
    rows = []
    settled = exchanges[exchanges["status"].isin(SETTLED)]
    for (channel, name), group in groups(settled):
        whole = float(group["total_ns"].sum())
        for stage in (*STAGES, "unexplained", "total"):
            values = _numbers(group, f"{stage}_ns")
            if not len(values):
                continue
            share = values.sum() / whole if whole else 0.0
            quantiles = _quantiles(values)
            rows.append((channel, name, stage, len(values), *quantiles.values(), share))
    return pd.DataFrame(rows, columns=list(_STAGE_COLUMNS))


def median_row(exchanges: pd.DataFrame, p50: int) -> int:
    """The row of the median exchange: the first whose total is ``p50``, so it occurred."""
    return int(exchanges.index[exchanges["total_ns"] == p50][0])


def median_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """The median exchange of each type, of settled exchanges only.

    Index: the row in ``run.exchanges``. Columns: channel, name, total_ns, and one for each
    stage and unexplained_ns (NA where it has none).
    """
    settled = exchanges[exchanges["status"].isin(SETTLED)]
    found = []
    for _key, group in groups(settled):
        values = _numbers(group, "total_ns")
        if len(values):
            found.append(median_row(group, _quantiles(values)["p50"]))
    columns = [f"{stage}_ns" for stage in (*STAGES, "unexplained")]
    return exchanges.loc[found, ["channel", "name", "total_ns", *columns]]


def lengths(exchange: pd.Series[Any]) -> dict[str, int]:
    """An exchange's stages in the order of the path, in ns; ``unexplained`` unless it is 0."""
    found = {stage: exchange[f"{stage}_ns"] for stage in (*STAGES, "unexplained")}
    return {
        stage: int(ns)
        for stage, ns in found.items()
        if not pd.isna(ns) and (ns or stage != "unexplained")
    }


def size_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """How large messages were.

    One row per channel, name and size (request_bytes, reply_bytes, copied_bytes):
    count, p50, p99, max (bytes), total (bytes), per_second (exchanges of the group
    per second between its first begin and its last end; NaN for a single one).
    """
    rows = []
    for (channel, name), group in groups(exchanges):
        begin = group["start_ns"].min()
        end = (group["start_ns"] + group["total_ns"].fillna(0)).max()
        rate = len(group) / (end - begin) * 1e9 if len(group) > 1 and end > begin else np.nan
        for size in SIZES:
            values = _numbers(group, size)
            if len(values):
                found = _quantiles(values)
                rows.append(
                    (channel, name, size, len(values), found["p50"], found["p99"], found["max"],
                     int(values.sum()), rate)
                )  # fmt: skip
    columns = ["channel", "name", "size", "count", "p50", "p99", "max", "total", "per_second"]
    return pd.DataFrame(rows, columns=columns)


def outcome_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """How exchanges ended: channel, name, count, status, match (each ``value count, ...``)."""
    rows = [
        (channel, name, len(group), _tally(group["status"]), _tally(group["match"]))
        for (channel, name), group in groups(exchanges)
    ]
    return pd.DataFrame(rows, columns=["channel", "name", "count", "status", "match"])


def reasons(run: Run) -> list[str]:
    """Why the run cannot be trusted, a line each; empty when it can."""
    told = [_reason(line) for line in run.ledger.to_dict("records") if not line["ok"]]
    if not told and not run.trusted:
        told.append("no line of the ledger says why")
    return told


def losses(run: Run) -> list[str]:
    """What is known to be lost, a line each: records, misses, segments."""
    told = list(run.damage)
    for point, account in sorted((run.meta.get("accounts") or {}).items()):
        lost = {key: (account or {}).get(key) for key in ("lost", "missed")}
        told += [f"{point}: {count:,} {key}" for key, count in lost.items() if count]
    told += [f"{name}: {n:,}" for name, n in (run.meta.get("losses") or {}).items() if n]
    return told


def duration_ns(run: Run) -> int:
    """From the first to the last thing that either side saw, in ns; 0 for an empty run."""
    begins, ends = [], []
    for frame, begin in ((run.events, "start_ns"), (run.sends, "begin_ns")):
        if len(frame):
            begins.append(int(frame[begin].min()))
            ends.append(int(frame["end_ns"].max()))
    return max(ends) - min(begins) if begins else 0


def facts(run: Run) -> dict[str, str]:
    """What a report's header says of the run, by name."""
    meta = run.meta
    clock = meta.get("clock") or {}
    counted = ", counts instructions" if clock.get("deterministic") else ""
    module = meta.get("module") or {}
    build = str(module.get("build_id") or module.get("srcversion") or "?")[:12]
    told = {
        "recording": str(run.path),
        "command": shlex.join(meta.get("command") or []),
        "host": str(meta.get("host", "?")),
        "started": str(meta.get("started", "?")),
        "kernel": f"{meta.get('kernel', '?')} {meta.get('machine', '')}".strip(),
        "module": f"msgchan, build {build}" if module else "none",
        "clock": f"{clock.get('name', '?')} from {clock.get('source', '?')}{counted}",
        "duration": f"{duration_ns(run) / 1e9:,.3f} s",
        "rows": f"{len(run.events):,} events, {len(run.sends):,} sends, "
        f"{len(run.exchanges):,} exchanges",
        "tracer": str(meta.get("tracer", "?")),
    }
    return {name: printable(value) for name, value in told.items()}


def groups(exchanges: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Exchanges by channel and name, the most time first within a channel."""
    keys = [exchanges["channel"].astype(str), exchanges["name"].astype(str)]
    grouped = exchanges.groupby(keys, sort=False)
    found = [((str(key[0]), str(key[1])), group) for key, group in grouped]
    yield from sorted(found, key=lambda pair: (pair[0][0], -pair[1]["total_ns"].sum()))


def _numbers(group: pd.DataFrame, column: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(group[column].dropna(), np.int64)


def _quantiles(values: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, int]:
    """By name; each is a value that occurred, as an interpolated time never did."""
    found = np.percentile(values, list(_QUANTILES.values()), method="inverted_cdf")
    return {name: int(value) for name, value in zip(_QUANTILES, found, strict=True)}


def _tally(column: pd.Series[Any]) -> str:
    counts = column.astype(str).value_counts()
    return ", ".join(f"{value} {count:,}" for value, count in counts.items())


def _reason(line: dict[Any, Any]) -> str:
    note = f" ({line['note']})" if line["note"] else ""
    return (
        f"{line['line']}: {line['witness']} {count_text(line['count'])}, "
        f"{line['against']} {count_text(line['other'])}, "
        f"difference {count_text(line['difference'], sign='+')}{note}"
    )
