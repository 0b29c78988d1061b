# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs made by hand whose exchanges have stages that lie in time, for figures and pages."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from report_doubles import GET, LEDGER, META, NETLINK, exchanges, run

from tracer.correlate.stages import STAGES

SET = {"encode": 10, "entry": 30, "handler": 40, "exit": 5, "decode": 5}
NOTIFY = {"reply": 5, "queue": 170, "wake": 3, "copy": 3, "recv_exit": 4, "decode": 25}
PATHS = {"netlink": NETLINK, "getsockopt": GET, "setsockopt": SET, "notify": NOTIFY}
MARKUP = "<b>&\"'$x$</b>"


def stages_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The long frame of exchanges whose stages follow each other without a gap."""
    rows = []
    for exchange, row in zip(frame.index, frame.to_dict("records"), strict=True):
        now = row["start_ns"]
        for stage in STAGES:
            length = row[f"{stage}_ns"]
            if not pd.isna(length):
                rows.append((exchange, stage, 0, now, int(length)))
                now += int(length)
    columns = ["exchange", "stage", "occurrence", "start_ns", "dur_ns"]
    return pd.DataFrame(rows, columns=columns)


def staged(frame: pd.DataFrame | None = None, **changed: Any) -> Any:
    """As :func:`report_doubles.run`, with ``stages``."""
    frame = run(frame).exchanges
    return run(frame, **{"stages": stages_of(frame)} | changed)


def varied(counts: dict[tuple[str, str], int], comm: str = "tracer", seed: int = 3) -> Any:
    """Exchanges of the given types whose stages vary by orders of magnitude, over ten seconds."""
    rng = np.random.default_rng(seed)
    parts = []
    for (channel, name), count in counts.items():
        made = exchanges(count, channel, name, PATHS[channel])
        scale = rng.lognormal(5, 0.6)
        for stage, base in PATHS[channel].items():
            lengths = (base * scale * rng.lognormal(0, 0.8, count)).astype(np.int64)
            made[f"{stage}_ns"] = pd.array(lengths, "Int64")
        slow = rng.random(count) < 0.05
        handler = "queue_ns" if channel == "notify" else "handler_ns"
        made.loc[slow, handler] = made.loc[slow, handler] * 100
        made["total_ns"] = made[[f"{stage}_ns" for stage in PATHS[channel]]].sum(axis=1)
        made["start_ns"] = np.sort(rng.integers(0, 10**10, count)) + 10**12
        made["request_bytes"] = pd.array(2 ** rng.integers(4, 15, count), "Int64")
        parts.append(made)
    frame = pd.concat(parts, ignore_index=True).sort_values("start_ns", ignore_index=True)
    return staged(frame.assign(comm=comm, tid=1_234_567))


def empty() -> Any:
    """A run of which nothing was recorded."""
    return staged(exchanges(1, "netlink", "x", NETLINK).iloc[:0], ledger=LEDGER.iloc[:0])


@cache
def crowded() -> Any:
    """What strains a page most: many types, long names, large numbers, markup, no trust.

    The same one for all: not to be changed.
    """
    names = [f"route {number}" for number in range(18, 26)]
    counts = {("netlink", name): 97 for name in names}
    counts |= {
        ("netlink", "a family of a rather long name, command 17"): 3,
        ("netlink", MARKUP): 1,
        ("getsockopt", "option 1234567"): 211,
        ("setsockopt", "msgchan request"): 211,
        ("notify", "msgchan icmp"): 503,
    }
    made = varied(counts, comm=MARKUP)
    frame = made.exchanges
    slow = frame.index[frame["name"] == "route 18"][0]
    for column in ("handler_ns", "total_ns"):
        frame.loc[slow, column] += 9_000_000_000
    ledger = LEDGER.copy()
    ledger.loc[1, ["other", "difference", "ok"]] = [1_234_566, 1, False]
    command = ["tracer", "drive", f"--name={MARKUP}", *(f"--option-{n}" for n in range(40))]
    losses = {"recursion_misses": 3, MARKUP: 5}
    return staged(
        frame, ledger=ledger, meta=META | {"command": command, "losses": losses},
        damage=["send_calls/000001.parquet: segment lost"],
    )  # fmt: skip
