# SPDX-License-Identifier: GPL-2.0-or-later
"""A run made by hand, with the frames' real columns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from tracer.correlate.observations import COLUMNS
from tracer.correlate.stages import STAGES
from tracer.recording import SCHEMA_VERSION

NETLINK = {
    "encode": 10, "send_entry": 20, "deliver": 5, "handler": 50, "reply": 15, "queue": 40,
    "wake": 30, "copy": 12, "recv_exit": 8, "decode": 10,
}  # fmt: skip
GET = {"encode": 10, "entry": 30, "handler": 40, "copy": 10, "exit": 5, "decode": 5}


def exchanges(
    count: int, channel: str, name: str, stages: dict[str, int], **columns: Any
) -> pd.DataFrame:
    """Exchange i takes ``(i + 1)`` times the given nanoseconds in each stage."""
    factor = np.arange(1, count + 1)
    frame = pd.DataFrame(
        {
            "channel": channel,
            "name": name,
            "comm": "tracer",
            "tid": 260,
            "request_bytes": pd.array([100] * count, "Int64"),
            "reply_bytes": pd.array([64] * count, "Int64"),
            "copied_bytes": pd.array([64] * count, "Int64"),
            "replies": 1,
            "errno": 0,
            "status": "ok",
            "match": "nested",
            "buffer": pd.array(range(count), "Int64"),
            "start_ns": factor * 1_000_000,
            "total_ns": pd.array(factor * sum(stages.values()), "Int64"),
        }
    )
    for stage in STAGES:
        values = factor * stages[stage] if stage in stages else [None] * count
        frame[f"{stage}_ns"] = pd.array(values, "Int64")
    frame["unexplained_ns"] = pd.array([0] * count, "Int64")
    return frame.assign(**columns)


LEDGER = pd.DataFrame(
    [
        ("requests on netlink", "user's log", 101, "netlink_unicast", 101, 0, True, ""),
        ("handler calls", "module", 1_234_567, "probe", 1_234_567, 0, True, "303 of others"),
    ],
    columns=["line", "witness", "count", "against", "other", "difference", "ok", "note"],
)
META = {
    "schema": SCHEMA_VERSION,
    "command": ["tracer", "drive", "--count", "101", "a b"],
    "host": "lab",
    "kernel": "6.1.0-56-amd64",
    "machine": "x86_64",
    "started": "2026-11-21T01:02:03+00:00",
    "clock": {"name": "CLOCK_MONOTONIC", "source": "tsc"},
    "plan": [
        {"point": "netlink_unicast", "site": "fentry/fexit", "target": "netlink_unicast",
         "reason": "the cheapest site that sees entry and return"},
        {"point": "copy", "site": "tracepoint", "target": "msgchan:copy_begin",
         "reason": "the module's own tracepoint, as [lib] cannot be probed"},
    ],
    "accounts": {"send": {"emitted": 202, "lost": 0, "missed": 0, "checksum": 1}},
    "losses": {"recursion_misses": 0},
}  # fmt: skip


def run(frame: pd.DataFrame | None = None, **changed: Any) -> Any:
    """A trusted run of 101 echoes and 23 gets, unless told otherwise."""
    if frame is None:
        frame = pd.concat(
            [
                exchanges(101, "netlink", "msgchan echo", NETLINK),
                exchanges(23, "getsockopt", "msgchan request", GET),
            ],
            ignore_index=True,
        )
    events = pd.DataFrame({name: np.zeros(0, kind) for name, kind in COLUMNS.items()})
    sends = pd.DataFrame({"begin_ns": [10**9], "end_ns": [3_500_000_000]})
    made = {
        "path": Path("runs/one"),
        "meta": META,
        "damage": [],
        "events": events,
        "sends": sends,
        "exchanges": frame,
        "ledger": LEDGER,
    } | changed
    made["trusted"] = bool(made["ledger"]["ok"].all())
    return SimpleNamespace(**made)


def untrusted() -> Any:
    """A run whose second line does not balance."""
    ledger = LEDGER.copy()
    ledger.loc[1, ["other", "difference", "ok"]] = [1_234_566, 1, False]
    return run(ledger=ledger)
