# SPDX-License-Identifier: GPL-2.0-or-later
"""How large messages were."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracer.tables.groups import groups, numbers, quantiles

SIZES = ("request_bytes", "reply_bytes", "copied_bytes")


def size_table(exchanges: pd.DataFrame) -> pd.DataFrame:
    """How large messages were.

    One row per channel, name and size (request_bytes, reply_bytes, copied_bytes):
    count, p50, p99, max (bytes), total (bytes), and per_second: the exchanges of that channel
    and name, divided by the time between the first one's begin and the last one's end; NaN if
    there is only one.
    """
    rows = []
    for (channel, name), group in groups(exchanges):
        begin = group["start_ns"].min()
        end = (group["start_ns"] + group["total_ns"].fillna(0)).max()
        rate = len(group) / (end - begin) * 1e9 if len(group) > 1 and end > begin else np.nan
        for size in SIZES:
            values = numbers(group, size)
            if len(values):
                found = quantiles(values)
                rows.append(
                    (channel, name, size, len(values), found["p50"], found["p99"], found["max"],
                     int(values.sum()), rate)
                )  # fmt: skip
    columns = ["channel", "name", "size", "count", "p50", "p99", "max", "total", "per_second"]
    return pd.DataFrame(rows, columns=columns)
