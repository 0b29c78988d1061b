# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings of echoes whose stages take the times that a test asks for.

Events, user's log, tasks and the probes' accounts agree, so the ledger balances.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tracer.compare.digest import Digest, quantile_lines, tails
from tracer.correlate import stages
from tracer.event import POINTS
from tracer.recording import SCHEMAS, RecordingWriter
from tracer.recording.witnesses import MODULE_CHANNELS, LogCount

PID, PORT, PROTO, NETNS = 100, 100, 30, 4026531840
#: Stages of an echo and their usual times in ns, in the order of the path.
ECHO = {
    "encode": 1000, "send_entry": 2000, "deliver": 700, "handler": 5000, "reply": 1500,
    "queue": 4000, "wake": 900, "copy": 1200, "recv_exit": 800, "decode": 1000,
}  # fmt: skip
STAGES = tuple(ECHO)
META: dict[str, Any] = {
    "command": ["tracer", "drive"],
    "host": "lab",
    "kernel": "6.1.0-56-amd64",
    "machine": "x86_64",
    "started": "2026-11-21T01:00:00+00:00",
    "cpus": 1,
    "netns": NETNS,
    "traced": [PID],
    "clock": {"name": "CLOCK_MONOTONIC", "source": "tsc", "deterministic": False},
    "module": {
        "build_id": "48c0",
        "parameters": {"netlink_proto": str(PROTO), "icmp_proto": "31", "sockopt_base": "10128"},
    },
    "plan": [
        {"point": point, "site": "fentry", "target": point, "reason": "cheapest"}
        for point in POINTS[1:]
    ],
}
Times = npt.NDArray[np.int64]


def times(
    random: np.random.Generator,
    count: int,
    *,
    run_spread: float = 0.0,
    spread: float = 0.1,
    shift: dict[str, float] | None = None,
    add: dict[str, int] | None = None,
) -> Times:
    """Stage times of ``count`` echoes in ns, one column per stage.

    Every exchange is scattered by ``spread``; the whole run by ``run_spread``: half of it all
    stages together, half each by itself. ``shift`` multiplies stages, ``add`` adds ns to them.
    """
    whole = run_spread / np.sqrt(2)
    run = np.exp(random.normal(0, whole) + random.normal(0, whole, len(STAGES)))
    base = np.array([ECHO[s] * (shift or {}).get(s, 1) + (add or {}).get(s, 0) for s in STAGES])
    return np.rint(base * run * np.exp(random.normal(0, spread, (count, len(STAGES))))).astype(
        np.int64
    )


def record(directory: Path, stage_times: Times, *, close: bool = True, **meta: Any) -> Path:
    """Write the recording; ``meta`` replaces what is in :data:`META`, single losses too.

    Without ``close`` it is left as by a recorder that was killed.
    """
    losses = {"recursion_misses": 0, "kprobe_misses": 0} | meta.pop("losses", {})
    log = LogCount()
    events, sends = _rows(stage_times)
    tasks = pd.DataFrame(
        [{"start_ns": 1, "tid": PID, "tgid": PID, "ppid": 1, "netns": NETNS, "comm": "echo"}]
    )
    frames = {"events": events, "sends": sends, "tasks": tasks}
    log.add(sends)
    witnesses = {
        "accounts": _accounts(events, tasks),
        "losses": losses,
        "end": {
            "interrupted_ns": None,
            "stopping_ns": 2**62,
            "stopped_ns": 2**62,
            "open": [],
            "cut": [],
        },
        "not_understood": {"count": 0, "first": ""},
        "stats": {"before": _reading(7), "after": _reading(7 + len(stage_times))},
        "log": log.as_dict(),
        "spool": {whose: {"count": 0, "first": ""} for whose in ("ours", "strangers")},
    }
    writer = RecordingWriter(directory, META | (witnesses if close else {}) | meta)
    writer.append(
        **{
            kind: pa.Table.from_pandas(_typed(kind, frame), SCHEMAS[kind], preserve_index=False)
            for kind, frame in frames.items()
        }
    )
    writer.close({}) if close else writer.flush()
    return directory


def exchanges(stage_times: Times) -> pd.DataFrame:
    """What correlation makes of it, as far as a digest looks: for tests of many runs."""
    columns: dict[str, Any] = {f"{s}_ns": stage_times[:, i] for i, s in enumerate(STAGES)}
    absent = {f"{s}_ns": pd.NA for s in stages.STAGES if s not in ECHO}
    return pd.DataFrame(
        columns
        | {"channel": "netlink", "name": "msgchan echo", "status": "ok"}
        | {"total_ns": stage_times.sum(axis=1), "unexplained_ns": 0}
    ).assign(**absent)


def _rows(stage_times: Times) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Boundaries are the running sum of the stages; 1 ms lies between two echoes."""
    count = len(stage_times)
    begin = np.concatenate([[0], np.cumsum(stage_times.sum(axis=1) + 1_000_000)[:-1]]) + 1_000_000
    at = begin[:, None] + np.concatenate(
        [np.zeros((count, 1), np.int64), np.cumsum(stage_times, axis=1)], axis=1
    )
    edge = {stage: at[:, i] for i, stage in enumerate(STAGES)} | {"end": at[:, -1]}
    seq, skb = np.arange(1, count + 1), np.arange(count) * 2
    returned = edge["queue"]
    span = {"seq": seq, "portid": PORT, "proto": PROTO, "netns": NETNS, "sock": 0}
    calls = [
        ("sendto", edge["send_entry"], returned, 0, {}),
        ("netlink_unicast", edge["deliver"], returned, 1,
         span | {"direction": 1, "type": 0x10, "size": 64, "skb": skb + 1}),
        ("msgchan_handler", edge["handler"], edge["reply"], 2,
         {"proto": 2, "seq": seq, "portid": PORT, "token": seq, "type": 0x10}),
        ("netlink_unicast", edge["reply"], returned, 2,
         span | {"direction": 2, "type": 0x20, "size": 32, "skb": skb}),
        ("__netlink_sendskb", edge["queue"], edge["queue"], 3,
         span | {"type": 0x20, "size": 32, "skb": skb}),
        ("recvfrom", edge["wake"], edge["decode"], 0, {}),
        ("skb_copy_datagram_iter", edge["copy"], edge["recv_exit"], 1,
         span | {"type": 0x20, "size": 32, "skb": skb}),
    ]  # fmt: skip
    events = pd.concat(
        [
            pd.DataFrame(
                {"point": point, "start_ns": start, "end_ns": end, "depth": depth, "kind": 1,
                 "tid": PID, "tgid": PID, "sock": -1, "skb": -1} | fields
            )
            for point, start, end, depth, fields in calls
        ]
    )  # fmt: skip
    log = {"tid": PID, "tgid": PID, "portid": PORT, "proto": PROTO, "seq": seq, "size": 64}
    sent = {"begin_ns": edge["encode"], "end_ns": returned, "kind": 0, "token": seq, "type": 0x10}
    got = {"begin_ns": edge["wake"], "end_ns": edge["end"], "kind": 1}
    sends = pd.concat([pd.DataFrame(log | sent), pd.DataFrame(log | got)])
    return events, sends


def _typed(kind: str, frame: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for field in SCHEMAS[kind]:
        values = frame[field.name] if field.name in frame else pd.Series(0, frame.index)
        if field.name in ("point", "comm"):
            columns[field.name] = values.to_numpy(object)
        else:
            columns[field.name] = values.fillna(0).to_numpy().astype(field.type.to_pandas_dtype())
    return pd.DataFrame(columns)


def _accounts(events: pd.DataFrame, tasks: pd.DataFrame) -> dict[str, Any]:
    """What the probes would have counted and summed."""
    times = (events["start_ns"] + events["end_ns"]).groupby(events["point"])
    counts, sums = times.count().to_dict(), times.sum().to_dict()
    counts["task"], sums["task"] = len(tasks), tasks["start_ns"].sum()
    return {
        point: {"emitted": int(counts.get(point, 0)), "lost": 0, "missed": 0,
                "time_sum": int(sums.get(point, 0))}
        for point in POINTS
    }  # fmt: skip


def _reading(echoes: int) -> dict[str, Any]:
    """What the module and the probes at its tracepoints would have counted after so many."""
    idle = dict.fromkeys(
        ("requests", "replies", "copies", "request_bytes", "reply_bytes", "errors"), 0
    )
    busy = idle | {"requests": echoes, "replies": echoes}
    seen = dict.fromkeys(("foreign", "replies", "foreign_replies"), 0)
    witnessed = dict.fromkeys(MODULE_CHANNELS, seen) | {"netlink": seen | {"replies": echoes}}
    return {
        "early": witnessed,
        "counters": dict.fromkeys(MODULE_CHANNELS, idle) | {"netlink": busy},
        "ports": {str(PORT): busy},
        "late": witnessed,
    }


def digests(
    runs: int, seed: int, *, deterministic: bool = False, count: int = 101, **how: Any
) -> list[Digest]:
    """Runs of 101 echoes each, reduced to digests; ``how`` as in :func:`times`.

    One begins every minute, by the seed's number of microseconds later: sides of other seeds
    were recorded in turn.
    """
    random = np.random.default_rng(seed)
    begin = datetime(2026, 11, 21, 1, tzinfo=UTC) + timedelta(microseconds=seed)
    return [
        digested(
            times(random, count, **how),
            name=f"run-{seed}-{number}",
            deterministic=deterministic,
            started=(begin + timedelta(minutes=number)).isoformat(),
        )
        for number in range(runs)
    ]


def digested(
    stage_times: Times, *, name: str = "run", deterministic: bool = True, started: str = ""
) -> Digest:
    """The digest of a run of echoes whose stages took these times."""
    frame = exchanges(stage_times)
    lines = quantile_lines(frame)[0]
    conditions = {"kernel": "6.1"}
    return Digest(
        name,
        lines,
        conditions,
        deterministic=deterministic,
        started=started,
        tails=tails(frame),
    )
