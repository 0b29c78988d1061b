# SPDX-License-Identifier: GPL-2.0-or-later
"""Feeds the records of a recording to the pass, window by window, and hands over what it made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.correlate.columns import Ints
from tracer.correlate.onepass.compiled import functions, is_compiled, is_loaded
from tracer.correlate.onepass.fields import (
    C_END,
    C_START,
    N_ANS,
    N_ANS_DUE,
    N_KINDS,
    N_LAST,
    N_LIVE,
    N_LOG_BOUNDS,
    N_LOG_TIDS,
    N_MSG,
    N_PATIENCE,
    N_PIECES,
    N_PIECES_AT,
    N_RD,
    N_REQ,
    N_REQ_DUE,
    N_ROWS,
    N_SKB,
    N_STAGES,
    N_TASK_STARTS,
    N_TASK_TIDS,
    N_TOP,
    N_UNLOGGED,
    N_UNLOGGED_AT,
    NONE,
    PATIENCE,
    PLACE,
    ROOM,
    TABLES,
)
from tracer.correlate.onepass.log import Log
from tracer.correlate.onepass.tables import place
from tracer.recording.format import SCHEMAS

#: The kinds of records that make exchanges.
CALLS = ("send_calls", "recv_calls", "opt_calls", "extras")
#: How many records are taken at once.
WINDOW = 8_192
#: The same where the code is not compiled, so that the memory is a small list.
FEW = 1_024
#: From how many records on it pays to load the compiled functions, and to compile them.
MANY, VERY_MANY = 20_000, 200_000
#: The most pieces of stages that a record brings.
_PIECES = 8


@dataclass(frozen=True)
class Result:
    """What the pass made.

    ``columns`` are those of the exchanges, by ``C_…``; ``kinds`` are pairs (protocol or OPTIONS,
    type or option); ``pieces`` rows of exchange, stage, start and end; ``unlogged`` pairs of thread
    and start of the call. ``used`` marks the entries of the log that belong to an exchange, ``n``
    are the single numbers.
    """

    columns: dict[int, Ints]
    kinds: list[tuple[int, int]]
    pieces: Ints
    unlogged: Ints
    used: npt.NDArray[np.int8]
    n: list[int]


def run(
    records: Mapping[str, pd.DataFrame], log: pd.DataFrame, tasks: pd.DataFrame, *,
    stages: bool = False, fast: bool | None = None, window: int = WINDOW,
    patience: int = PATIENCE,
) -> Result:  # fmt: skip
    """Make exchanges of the records of a recording, by kind, and of the user's log.

    ``fast`` says whether to use compiled code if there is a compiler (left out: if there are so
    many records that it pays). ``stages``: also tell each piece of a stage. Neither the ``window``
    (records that are taken at once) nor ``fast`` changes the result.
    """
    frames = {kind: _sorted(records[kind], "order") for kind in CALLS}
    total = sum(map(len, frames.values()))
    if fast is None:
        fast = pays(total)
    steps = functions(fast)
    lists = isinstance(steps["window"], type(run))
    window = max(min(window, total, FEW if lists else WINDOW), 1)
    m, out = _start(frames, log, tasks, stages=stages)
    m[N_PATIENCE] = patience
    entries = _log(log, lists=lists)
    if lists:
        m = m.tolist()
    for begin in range(0, len(log), window):
        m = _roomy(m, window)
        steps["learn_log"](m, entries, begin, min(begin + window, len(log)))
    for parts in _windows(frames, window):
        m = _roomy(m, window)
        steps["window"](m, out, entries, *(part.tolist() if lists else part for part in parts))
    m = _roomy(m, 0)
    steps["finish"](m, out, entries)
    return _result(m, out, entries)


def pays(total: int) -> bool:
    """Whether compiled functions are worth their loading, or compiling, for so many records.

    Once they are loaded they are, for any number. In the lab's guest, which is mostly emulated,
    compiling takes too long.
    """
    if is_loaded():
        return True
    if total < MANY:
        return False
    return is_compiled() or (total >= VERY_MANY and os.environ.get("TRACER_LAB") != "1")


def _sorted(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """The frame in this column's order; it mostly is already."""
    values = frame[by].to_numpy()
    if (values[1:] >= values[:-1]).all():
        return frame
    return frame.iloc[np.argsort(values, kind="stable")]


def _windows(frames: Mapping[str, pd.DataFrame], window: int) -> Iterator[list[Ints]]:
    """The records of all kinds in windows: of each kind those of the next stretch of the ring."""
    orders = [frames[kind]["order"].to_numpy() for kind in CALLS]
    columns = [[_numbers(frames[kind][f.name]) for f in SCHEMAS[kind]] for kind in CALLS]
    at = [0] * len(CALLS)
    while True:
        nexts = [int(order[k]) for order, k in zip(orders, at, strict=True) if k < order.size]
        if not nexts:
            return
        ends = [int(np.searchsorted(order, min(nexts) + window)) for order in orders]
        yield [_flat(kind, begin, end) for kind, begin, end in zip(columns, at, ends, strict=True)]
        at = ends


def _numbers(column: pd.Series[Any]) -> Ints:
    """A column as numbers; the 64 bits of a token are taken for a signed one."""
    values = np.asarray(column.to_numpy())
    return values.view(np.int64) if values.dtype == np.uint64 else values


def _flat(columns: list[Ints], begin: int, end: int) -> Ints:
    """These rows, each with its columns one after the other."""
    table = np.empty((end - begin, len(columns)), np.int64)
    for number, column in enumerate(columns):
        table[:, number] = column[begin:end]
    return table.reshape(-1)


def _start(
    frames: Mapping[str, pd.DataFrame], log: pd.DataFrame, tasks: pd.DataFrame, *, stages: bool
) -> tuple[Any, Ints]:
    """The memory of the pass, and room for what it makes. What is not used there is not touched."""
    rows = 8 + sum(len(frames[kind]) for kind in CALLS if kind != "recv_calls")
    total = rows + len(frames["recv_calls"])
    calls, receives, extras = (frames[kind] for kind in ("send_calls", "recv_calls", "extras"))
    buffers = [calls["reply_skb"], receives["skb"], extras["skb"]]
    top = 1 + max((int(part.max()) for part in buffers if len(part)), default=0)
    tid = log["tid"].to_numpy().astype(np.int64)
    tids, count = np.unique(tid, return_counts=True)
    order = task_order(tasks)
    blocks = [
        (N_SKB, np.full(2 * top, NONE, np.int64)),
        (N_LOG_TIDS, tids),
        (N_LOG_BOUNDS, np.append(0, np.cumsum(count))),
        (N_TASK_TIDS, tasks["tid"].to_numpy()[order].astype(np.int64)),
        (N_TASK_STARTS, tasks["start_ns"].to_numpy()[order].astype(np.int64)),
    ]
    m: Any = np.zeros(C_END, np.int64)
    for free in (N_ANS, N_RD, N_REQ, N_MSG, *range(N_ANS_DUE, N_REQ_DUE + 2), N_LAST):
        m[free] = NONE
    m[C_START:] = rows * np.arange(C_END - C_START)
    m[N_UNLOGGED_AT] = rows * (C_END - C_START)
    m[N_PIECES_AT] = m[N_UNLOGGED_AT] + 2 * total
    m[N_STAGES] = int(stages)
    for name, block in blocks:
        m[name] = m.size
        m = np.concatenate([m, block])
    m[N_TOP] = m.size
    return m, np.empty(int(m[N_PIECES_AT]) + 4 * _PIECES * total * stages, np.int64)


def _log(log: pd.DataFrame, *, lists: bool) -> Log:
    """The columns of the log, and its order by thread and begin."""
    order = np.lexsort((log["begin_ns"].to_numpy(), log["tid"].to_numpy())).astype(np.int32)
    names = ("begin_ns", "end_ns", "tid", "tgid", "kind", "channel", "proto", "portid", "seq",
             "type", "token")  # fmt: skip
    columns: list[Any] = [
        order,
        *(np.ascontiguousarray(_numbers(log[name])).view() for name in names),
    ]
    for column in columns:
        column.flags.writeable = False
    used = np.zeros(len(log), np.int8)
    parts: list[Any] = [column.tolist() if lists else column for column in columns]
    return Log._make([*parts, used])


def task_order(tasks: pd.DataFrame) -> Ints:
    """The order of task records by thread and time."""
    return np.lexsort((tasks["start_ns"].to_numpy(), tasks["tid"].to_numpy()))


def _roomy(m: Any, window: int) -> Any:
    """The memory with room for what so many records, or entries of the log, may bring."""
    for table in TABLES:
        if 2 * (m[table + 2] + 4 * window + 8) > m[table + 1]:
            m = _wider(m, table, 4 * (int(m[table + 2]) + 4 * window + 8))
    needed = int(m[N_TOP] + (m[N_LIVE] + window + 8) * ROOM)
    return m if len(m) >= needed else _grown(m, needed + needed // 4)


def _grown(m: Any, size: int) -> Any:
    """A longer copy of the memory."""
    if isinstance(m, list):
        return m + [0] * (size - len(m))
    grown = np.empty(size, np.int64)
    grown[: m[N_TOP]] = m[: m[N_TOP]]
    return grown


def _wider(m: Any, table: int, places: int) -> Any:
    """The memory with a hash table of at least so many places, which has the same entries."""
    places = 1 << (places - 1).bit_length()
    old, count = int(m[table]), int(m[table + 1])
    new = int(m[N_TOP])
    size = PLACE * places
    m = _grown(m, max(len(m), new + size))
    m[new : new + size] = [0] * size if isinstance(m, list) else 0
    m[N_TOP] = new + size
    m[table], m[table + 1] = new, places
    for at in _used(m, old, count):
        here = place(m, table, m[at], m[at + 1])
        m[here : here + PLACE] = m[at : at + PLACE]
    return m


def _used(m: Any, begin: int, places: int) -> list[int]:
    """The places of a hash table that are in use."""
    table = np.array(m[begin : begin + PLACE * places]).reshape(-1, PLACE)
    return [begin + PLACE * int(number) for number in np.flatnonzero(table[:, 2])]


def _result(m: Any, out: Ints, entries: Log) -> Result:
    n = [int(number) for number in m[:C_END]]
    places = _used(m, n[N_KINDS], n[N_KINDS + 1])
    kinds = sorted((int(m[m[at + 2]]), int(m[at]), int(m[at + 1])) for at in places)
    unlogged, pieces = n[N_UNLOGGED_AT], n[N_PIECES_AT]
    return Result(
        {c: out[n[c] : n[c] + n[N_ROWS]] for c in range(C_START, C_END)},
        [(space, number) for _at, space, number in kinds],
        out[pieces : pieces + 4 * n[N_PIECES]].reshape(-1, 4),
        out[unlogged : unlogged + 2 * n[N_UNLOGGED]].reshape(-1, 2),
        np.asarray(entries.used),
        n,
    )
