# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups of exchanges by type (channel and name), and the quantiles of a group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


def groups(exchanges: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The exchanges of each type; within a channel, the type that took most time comes first."""
    keys = [exchanges["channel"].astype(str), exchanges["name"].astype(str)]
    grouped = exchanges.groupby(keys, sort=False)
    found = [((str(key[0]), str(key[1])), group) for key, group in grouped]
    yield from sorted(found, key=lambda pair: (pair[0][0], -once(pair[1])["total_ns"].sum()))


def once(group: pd.DataFrame) -> pd.DataFrame:
    """The rows whose time counts in a sum: of those that were sent in one buffer the longest.

    The others of that buffer share its time.
    """
    buffer = group["buffer"]
    if not (buffer.notna() & buffer.duplicated()).any():
        return group
    longest = group.sort_values("total_ns", ascending=False, kind="stable")
    spare = longest["buffer"].notna() & longest["buffer"].duplicated()
    return group.loc[longest.index[~spare].sort_values()]


def numbers(group: pd.DataFrame, column: str) -> npt.NDArray[np.int64]:
    values = group[column].array
    return np.asarray(values[~values.isna()], np.int64)


def quantiles(values: npt.NDArray[np.int64]) -> dict[str, int]:
    """The quantiles by name. Each is a value that occurred: none is interpolated."""
    found = np.percentile(values, list(QUANTILES.values()), method="inverted_cdf")
    return {name: int(value) for name, value in zip(QUANTILES, found, strict=True)}
