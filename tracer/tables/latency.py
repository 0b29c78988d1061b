# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables behind the figures of latency: distribution, over time, by size.

They use settled exchanges (:data:`tracer.tables.outcomes.SETTLED`) whose total is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.tables.groups import groups
from tracer.tables.outcomes import SETTLED
from tracer.units import log_classes

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PARTS = 10
SIZE_CLASSES = 8


def settled(exchanges: pd.DataFrame) -> pd.DataFrame:
    """The exchanges that are settled and have a total."""
    return exchanges[exchanges["status"].isin(SETTLED) & exchanges["total_ns"].notna()]


def totals(exchanges: pd.DataFrame) -> Ints:
    """The totals in ns; at least 1, because they are drawn on logarithmic axes."""
    return np.asarray(exchanges["total_ns"], np.int64).clip(1)


def moved_bytes(exchanges: pd.DataFrame) -> Ints:
    """Bytes of request and reply together; at least 1, because axes are logarithmic."""
    both = exchanges[["request_bytes", "reply_bytes"]].fillna(0).sum(axis=1)
    return np.asarray(both, np.int64).clip(1)


def time_edges(exchanges: pd.DataFrame, parts: int) -> Floats:
    """The edges of equal parts of the recording's time, in ns.

    They go from the start of the first exchange, settled or not (which is 0, as in
    :func:`tracer.tables.slowest.slowest_table`), to the start of the last settled one.
    """
    last = settled(exchanges)["start_ns"].max()
    return np.linspace(0, max(int(last - exchanges["start_ns"].min()), 1), parts + 1)


def distribution_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """How many exchanges took how long.

    One row per channel, name and class of latency. There are at most ten classes, without gaps
    between them, the same ones for all types. Columns: channel, name, from_ns (included),
    to_ns (not included), count.
    """
    found = settled(exchanges)
    rows: list[tuple[Any, ...]] = []
    if len(found):
        every = totals(found)
        edges = log_classes(int(every.min()), int(every.max()))
        for (channel, name), group in groups(found):
            counts = np.histogram(totals(group), edges)[0].tolist()
            classes = zip(edges[:-1], edges[1:], counts, strict=True)
            rows += [(channel, name, *row) for row in classes]
    return pd.DataFrame(rows, columns=["channel", "name", "from_ns", "to_ns", "count"])


def time_table(exchanges: pd.DataFrame, parts: int = PARTS) -> pd.DataFrame:
    """Latencies over time.

    The time is cut into ``parts`` of equal length. One row per channel and part in which an
    exchange of that channel began: channel, from_ns and to_ns (since the first exchange of
    all began), count, p50_ns, p99_ns, max_ns.
    """
    found = settled(exchanges)
    rows: list[tuple[Any, ...]] = []
    if len(found):
        edges = time_edges(exchanges, parts)
        since = found["start_ns"].to_numpy(np.int64) - int(exchanges["start_ns"].min())
        part = (np.searchsorted(edges, since, side="right") - 1).clip(0, parts - 1)
        keys = [found["channel"].astype(str), part]
        for (channel, here), group in found.groupby(keys):
            quantiles = _quantiles(group, 50, 99, 100)
            rows.append((channel, int(edges[here]), int(edges[here + 1]), len(group), *quantiles))
    columns = ["channel", "from_ns", "to_ns", "count", "p50_ns", "p99_ns", "max_ns"]
    return pd.DataFrame(rows, columns=columns)


def size_latency_table(exchanges: pd.DataFrame, most: int = SIZE_CLASSES) -> pd.DataFrame:
    """Latencies by size.

    The size is the bytes of request and reply together. One row per channel, name and size; if
    a type has more than ``most`` sizes, they are put into ``most`` classes of equal ratio, and
    each class that is not empty has a row. Columns: channel, name, from_bytes and to_bytes (the
    smallest and the largest size that occurred), count, p10_ns, p50_ns, p90_ns, p99_ns, max_ns.
    """
    rows: list[tuple[Any, ...]] = []
    for (channel, name), group in groups(settled(exchanges)):
        size = moved_bytes(group)
        classes = np.unique(size, return_inverse=True)[1]
        if classes.max() >= most:
            classes = np.digitize(size, np.geomspace(size.min(), size.max() + 1, most + 1))
        for number in np.unique(classes):
            here = classes == number
            span = int(size[here].min()), int(size[here].max())
            quantiles = _quantiles(group[here], 10, 50, 90, 99, 100)
            rows.append((channel, name, *span, int(here.sum()), *quantiles))
    columns = ["channel", "name", "from_bytes", "to_bytes", "count", "p10_ns", "p50_ns", "p90_ns",
               "p99_ns", "max_ns"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _quantiles(exchanges: pd.DataFrame, *percents: int) -> list[int]:
    """Percentiles of the totals, each a value that occurred."""
    return [int(ns) for ns in np.percentile(totals(exchanges), percents, method="inverted_cdf")]
