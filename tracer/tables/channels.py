# SPDX-License-Identifier: GPL-2.0-or-later
"""The same payload over several channels: latency by size and concurrency, and where they cross.

Only exchanges with msgchan that carry a payload are used. Their payload is known: the bytes of
the message without headers. Exchanges of one run are not independent of each other, so each
run gives one value, and each number comes with the range over the runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tracer.clients import wire
from tracer.correlate.stages import STAGES
from tracer.errors import TracerError
from tracer.tables.outcomes import SETTLED

if TYPE_CHECKING:
    from tracer.frames.frames import Frames

PROGRAM_STAGES = ("encode", "queue", "decode")
"""The stages in which the program itself runs, or has not asked for its reply yet."""
KERNEL_STAGES = tuple(stage for stage in STAGES if stage not in PROGRAM_STAGES)
"""The other stages: from the system call to its return."""
NEITHER = "neither"

#: How to find the payload's size on each channel: name of the exchanges, the column that
#: contains it, and how many bytes of headers that column contains too.
_PAYLOADS = {
    "netlink": ("msgchan echo", "request_bytes", wire.MESSAGE.size),
    "setsockopt": ("msgchan request", "request_bytes", wire.REQUEST.size),
    "getsockopt": ("msgchan request", "reply_bytes", wire.REPLY.size),
}
#: The size of a reply's header in recordings of schema 1. The module's header then had token,
#: operation and size, but not the waited times.
_REPLY_OF_SCHEMA_1 = 16


def by_payload(
    runs: Sequence[Frames], stages: Sequence[str] = (), quantile: float = 0.5
) -> pd.DataFrame:
    """How long settled exchanges with msgchan take, by channel, concurrency and payload.

    ``stages`` are the stages whose time is counted, such as :data:`KERNEL_STAGES`; by default
    the whole exchange. ``quantile`` (0 to 1) is taken within each run; the effect of several
    threads shows in high quantiles. Raises :class:`TracerError` when no run has such an
    exchange. One row for each channel, number of threads and payload, sorted by them.

    channel
        ``netlink``, ``setsockopt`` or ``getsockopt``.
    threads
        How many threads of a run sent this payload over this channel.
    payload_bytes
        Bytes of the message without headers.
    runs, count
        How many runs there are, and how many exchanges in all of them.
    level_ns
        Median over the runs of each run's quantile, ns.
    low_ns, high_ns
        The smallest and the largest of the runs' quantiles, ns.
    """
    found = [_levels(run, number, stages, quantile) for number, run in enumerate(runs)]
    levels = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    if levels.empty:
        raise TracerError(
            "cannot tell latencies by payload",
            "no run has a settled msgchan echo",
            "record 'tracer drive --channel netlink' and '--channel sockopt'",
        )
    grouped = levels.groupby(["channel", "threads", "payload_bytes"], sort=True)
    table = grouped.agg(
        runs=("run", "nunique"),
        count=("count", "sum"),
        level_ns=("ns", "median"),
        low_ns=("ns", "min"),
        high_ns=("ns", "max"),
    )
    return table.round().astype(np.int64).reset_index()


def _levels(run: Frames, number: int, stages: Sequence[str], quantile: float) -> pd.DataFrame:
    """The quantiles of one run. Columns: run, channel, threads, payload_bytes, count, ns."""
    exchanges = run.exchanges
    settled = exchanges[exchanges["status"].isin(SETTLED)]
    parts = []
    for channel, (name, column, headers) in _PAYLOADS.items():
        if column == "reply_bytes" and run.meta["schema"] == 1:
            headers = _REPLY_OF_SCHEMA_1
        mine = settled[(settled["channel"] == channel) & (settled["name"] == name)]
        mine = mine[mine[column] >= headers]  # shorter ones were refused by the module
        columns = [f"{stage}_ns" for stage in stages] or ["total_ns"]
        parts.append(
            pd.DataFrame(
                {
                    "channel": channel,
                    "payload_bytes": mine[column].to_numpy(np.int64) - headers,
                    "tid": mine["tid"].to_numpy(np.int64),
                    "ns": mine[columns].sum(axis=1).to_numpy(np.int64),
                }
            )
        )
    grouped = pd.concat(parts).groupby(["channel", "payload_bytes"])
    table = grouped.agg(threads=("tid", "nunique"), count=("ns", "size"))
    # A value that occurred, as in the report.
    level = grouped["ns"].quantile(quantile, interpolation="lower")
    return table.assign(ns=level).reset_index().assign(run=number)


def faster(table: pd.DataFrame, first: str = "netlink", second: str = "getsockopt") -> pd.DataFrame:
    """Compare two channels, in a table made by :func:`by_payload`.

    One row for each number of threads and payload that both channels have.

    threads, payload_bytes
        As in that table.
    first_ns, second_ns
        The channels' ``level_ns``.
    ratio
        ``first_ns / second_ns``.
    faster
        The channel of which every run was faster than any run of the other; ``neither``
        where the runs overlap.
    """
    key = ["threads", "payload_bytes"]
    sides = [table[table["channel"] == channel] for channel in (first, second)]
    both = sides[0].merge(sides[1], on=key, suffixes=("_first", "_second")).sort_values(key)
    told = np.full(len(both), NEITHER, object)
    told[(both["high_ns_first"] < both["low_ns_second"]).to_numpy()] = first
    told[(both["high_ns_second"] < both["low_ns_first"]).to_numpy()] = second
    levels = {"first_ns": both["level_ns_first"], "second_ns": both["level_ns_second"]}
    ratio = levels["first_ns"] / levels["second_ns"]
    return both[key].assign(**levels, ratio=ratio, faster=told).reset_index(drop=True)


def crossings(
    table: pd.DataFrame, first: str = "netlink", second: str = "getsockopt"
) -> pd.DataFrame:
    """Find the payloads at which the faster of two channels changes.

    ``table`` is made by :func:`by_payload`. Only payloads at which one channel is faster in
    every run (:func:`faster`) are considered. One row for each change; a number of threads
    without a change has one row as well.

    threads
        How many threads sent at once.
    below, above
        The channel that is faster at the smaller payloads, and the one at the larger ones. Both
        are the same if there is no change, ``neither`` if no channel is faster at any payload.
    from_bytes, to_bytes
        The payloads between which the change lies; NA if there is none.
    about_bytes
        The payload at which both would take equally long, interpolated between these two on
        logarithmic axes; NA if there is no change.
    """
    rows: list[dict[str, Any]] = []
    for threads, group in faster(table, first, second).groupby("threads", sort=True):
        settled = group[group["faster"] != NEITHER]
        found = list(_changes(settled))
        if not found:
            leads = settled["faster"].unique()
            who = leads[0] if len(leads) else NEITHER
            found = [{"below": who, "above": who}]
        rows += [{"threads": threads} | change for change in found]
    columns = ["threads", "below", "above", "from_bytes", "to_bytes", "about_bytes"]
    bytes_ = dict.fromkeys(columns[3:], "Int64")
    return pd.DataFrame(rows, columns=columns).astype(bytes_)


def _changes(settled: pd.DataFrame) -> Iterator[dict[str, Any]]:
    lines = settled.sort_values("payload_bytes").to_dict("records")
    for here, there in pairwise(lines):
        if here["faster"] == there["faster"]:
            continue
        near, far = np.log(here["ratio"]), np.log(there["ratio"])
        small, large = (np.log(max(1, side["payload_bytes"])) for side in (here, there))
        about = np.exp(small + (large - small) * near / (near - far))
        yield {
            "below": here["faster"],
            "above": there["faster"],
            "from_bytes": here["payload_bytes"],
            "to_bytes": there["payload_bytes"],
            "about_bytes": round(float(about)),
        }
