# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings of echoes whose stages take the times that a test asks for.

Records, user's log and the counts of all witnesses agree, so the ledger balances.
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
from tracer.event import (
    LAYOUTS,
    POINTS,
    R_COPIED,
    R_COPY,
    RECORD_DTYPE,
    RECORD_POINTS,
    RECV,
    S_BEGUN,
    S_DONE,
    S_MODULE,
    S_QUEUED,
    S_TRIED,
    SEND,
    TASK,
)
from tracer.recorder.decode import Decoder
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
COUNTERS = ("requests", "replies", "copies", "request_bytes", "reply_bytes", "errors", "told")
Times = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]


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
    count = len(stage_times)
    if close:
        meta = {"stats": {"before": reading(7), "after": reading(7 + count)}} | meta
    return write(directory, *echoes(stage_times), close=close, **meta)


def write(
    directory: Path, records: list[Records], sends: pd.DataFrame, *, close: bool = True, **meta: Any
) -> Path:
    """Write a recording of records of the ring (see :func:`records_of`) and a user's log.

    The witnesses that say how many there are agree with them; ``meta`` is as in :func:`record`.
    """
    losses = {"recursion_misses": 0, "kprobe_misses": 0} | meta.pop("losses", {})
    decoder, log = Decoder(), LogCount()
    tables = decoder(np.concatenate(records))
    sends = typed("sends", sends)
    log.add(sends)
    end = {"interrupted_ns": None, "stopping_ns": 2**62, "stopped_ns": 2**62, "open": [], "cut": []}
    witnesses = {
        "accounts": {
            point: {"emitted": told["count"], "lost": 0, "missed": 0, "checksum": told["checksum"]}
            for point, told in decoder.decoded.items()
        },
        "decoded": decoder.decoded,
        "rows": decoder.rows,
        "losses": losses,
        "end": end,
        "not_understood": {"count": 0, "first": ""},
        "log": log.as_dict(),
        "spool": {whose: {"count": 0, "first": ""} for whose in ("ours", "strangers")},
    }
    writer = RecordingWriter(directory, META | (witnesses if close else {}) | meta)
    table = pa.Table.from_pandas(sends, SCHEMAS["sends"], preserve_index=False)
    writer.append(**tables, sends=table)
    writer.close({}) if close else writer.flush()
    return directory


def records_of(kind: int, point: str, **fields: Any) -> Records:
    """Records of the ring of one kind and point, one for each of the values of ``fields``."""
    sizes = [np.size(value) for value in fields.values() if np.ndim(value)]
    count = sizes[0] if sizes else 1
    made = np.zeros(count, LAYOUTS[kind])
    who = {"tid": PID, "tgid": PID, "kind": kind, "point": RECORD_POINTS.index(point)}
    for name, value in (who | fields).items():
        made[name] = value
    return made.view(RECORD_DTYPE)


def task(tid: int = PID, tgid: int = PID, comm: str = "echo") -> Records:
    """The record of a thread's name."""
    name = comm.encode()
    return records_of(TASK, "task", start_ns=1, tid=tid, tgid=tgid, ppid=1, netns=NETNS, comm=name)


def exchanges(stage_times: Times) -> pd.DataFrame:
    """What correlation makes of it, as far as a digest looks: for tests of many runs."""
    columns: dict[str, Any] = {f"{s}_ns": stage_times[:, i] for i, s in enumerate(STAGES)}
    absent = {f"{s}_ns": pd.NA for s in stages.STAGES if s not in ECHO}
    return pd.DataFrame(
        columns
        | {"channel": "netlink", "name": "msgchan echo", "status": "ok", "buffer": pd.NA}
        | {"total_ns": stage_times.sum(axis=1), "unexplained_ns": 0}
    ).assign(**absent)


def echoes(stage_times: Times) -> tuple[list[Records], pd.DataFrame]:
    """The records of echoes whose stages take these times, and the log of their program.

    Boundaries are the running sum of the stages; 1 ms lies between two echoes.
    """
    count = len(stage_times)
    begin = np.concatenate([[0], np.cumsum(stage_times.sum(axis=1) + 1_000_000)[:-1]]) + 1_000_000
    at = begin[:, None] + np.concatenate(
        [np.zeros((count, 1), np.int64), np.cumsum(stage_times, axis=1)], axis=1
    )
    edge = {stage: at[:, i] for i, stage in enumerate(STAGES)} | {"end": at[:, -1]}
    seq = np.arange(1, count + 1)
    returned = edge["queue"]
    calls = records_of(
        SEND, "send", **socket(), seq=seq, token=seq, reply_skb=address(seq),
        enter_ns=edge["send_entry"], unicast_ns=edge["deliver"], begin_ns=edge["handler"],
        done_ns=edge["reply"], queued_ns=edge["queue"], exit_ns=returned,
        size=64, buffer=64, ret=64, type=0x10, reply_type=0x20, reply_size=32,
        channel=2, bits=S_BEGUN | S_DONE | S_MODULE | S_TRIED | S_QUEUED,
    )  # fmt: skip
    reads = records_of(
        RECV, "recv", **socket(), skb=address(seq), size=32, ret=32, bits=R_COPY | R_COPIED,
        enter_ns=edge["wake"], copy_ns=edge["copy"], copied_ns=edge["recv_exit"],
        exit_ns=edge["decode"],
    )  # fmt: skip
    sent = entries(
        0, edge["encode"], returned, **user_socket(), seq=seq, token=seq, type=0x10, size=64
    )
    got = entries(1, edge["wake"], edge["end"], **user_socket(), seq=seq, size=32)
    return [task(), calls, reads], pd.concat([sent, got])


def address(number: Any) -> npt.NDArray[np.uint64]:
    """Kernel addresses, which have bit 63 set, of sk_buffs or socks of these numbers."""
    return np.asarray(number).astype(np.uint64) | np.uint64(1 << 63)


def socket(portid: int = PORT, proto: int = PROTO) -> dict[str, int]:
    """The fields of a record that name a netlink socket."""
    return {"portid": portid, "proto": proto, "netns": NETNS}


def user_socket(portid: int = PORT, proto: int = PROTO) -> dict[str, int]:
    """The same in an entry of the user's log."""
    return {"portid": portid, "proto": proto}


def entries(kind: int, begin_ns: Any, end_ns: Any, **fields: Any) -> pd.DataFrame:
    """Entries of the user's log, with the columns that are given."""
    who = {"tid": PID, "tgid": PID, "kind": kind, "end_ns": end_ns}
    return pd.DataFrame({"begin_ns": np.atleast_1d(begin_ns)} | who | fields)


def typed(kind: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a kind with all their columns and types; what was left out is 0."""
    columns = {}
    for field in SCHEMAS[kind]:
        values = frame[field.name] if field.name in frame else pd.Series(0, frame.index)
        columns[field.name] = values.fillna(0).to_numpy().astype(field.type.to_pandas_dtype())
    return pd.DataFrame(columns)


def reading(echoes: int) -> dict[str, Any]:
    """What the module and the probes at its tracepoints would have counted after so many."""
    idle = dict.fromkeys(COUNTERS, 0)
    busy = {
        "requests": echoes, "replies": echoes, "told": echoes,
        "request_bytes": 64 * echoes, "reply_bytes": 32 * echoes,
    }  # fmt: skip
    witnessed = {
        name: dict.fromkeys(("foreign", "replies", "foreign_replies"), 0)
        for name in MODULE_CHANNELS
    }
    return {
        "early": witnessed,
        "counters": {name: idle for name in MODULE_CHANNELS} | {"netlink": idle | busy},
        "ports": {str(PORT): idle | busy},
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
