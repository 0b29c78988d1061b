# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes ``run.exchanges`` and ``run.stages`` of the records and the user's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.correlate.columns import NONE, Ints, rank
from tracer.correlate.names import netlink_names, sockopt_names
from tracer.correlate.onepass import fields
from tracer.correlate.onepass.log import OPTIONS
from tracer.correlate.onepass.run import Result, run, task_order
from tracer.correlate.stages import STAGES
from tracer.correlate.user import CALL, RECEIVE, SEND

CHANNELS = ("netlink", "setsockopt", "getsockopt", "notify", "peer")
STATUSES = ("ok", "error", "partial", "unanswered", "unmatched_user", "unmatched_kernel", "lost")
MATCHES = ("nested", "header", "id", "order")

#: The channel of an exchange by the ``channel`` of an entry in the user's log.
_LOG_CHANNELS = (fields.NETLINK, fields.SET, fields.GET, fields.NOTIFY)
#: The columns that may be NA, each with its number in the pass.
_NULLABLE = {
    "tgid": fields.C_TGID, "tid": fields.C_TID, "netns": fields.C_NETNS, "proto": fields.C_PROTO,
    "portid": fields.C_PORT, "seq": fields.C_SEQ, "msg_type": fields.C_TYPE,
    "optname": fields.C_OPTNAME, "level": fields.C_LEVEL, "buffer": fields.C_BUFFER,
    "request_bytes": fields.C_REQUEST, "reply_bytes": fields.C_REPLIED,
    "copied_bytes": fields.C_COPIED, "replies": fields.C_REPLIES, "errno": fields.C_ERRNO,
    **{f"{stage}_ns": fields.C_ENCODE + number for number, stage in enumerate(STAGES)},
    "send_return_ns": fields.C_SEND_RETURN, "first_reply_ns": fields.C_FIRST_REPLY,
}  # fmt: skip
_PLAIN = {"start_ns": fields.C_START, "total_ns": fields.C_TOTAL,
          "unexplained_ns": fields.C_UNEXPLAINED}  # fmt: skip
_COLUMNS = (
    "channel", "name", "tgid", "tid", "comm", "netns", "proto", "portid", "seq", "msg_type",
    "optname", "level", "token", "request_bytes", "reply_bytes", "copied_bytes", "replies", "errno",
    "status", "match", "logged", "buffer", "start_ns", "total_ns",
    *(f"{stage}_ns" for stage in STAGES), "unexplained_ns", "send_return_ns", "first_reply_ns",
)  # fmt: skip


@dataclass(frozen=True)
class Reads:
    """How many messages were read, as counted by several witnesses.

    ``calls`` counts the receive calls that returned data, ``filled`` those of them in which a
    copy was seen. ``consumed`` counts the copies that took a message from a queue. Of their
    messages, ``known`` were seen being queued, and ``early`` may have been queued before the
    socket was traced. ``queued`` counts all messages seen being queued.
    """

    calls: int
    filled: int
    consumed: int
    known: int
    early: int
    queued: int


@dataclass
class Correlation:
    """The frames ``exchanges`` and ``stages``, and what the ledger needs besides them.

    disordered
        The number of exchanges that had a stage ending before it began; their stages are NA.
    disagreeing
        The number of exchanges whose token is another one in the log than in the kernel.
    astray
        The number of messages queued inside a send call that began before it, which cannot be.
    unseen
        The receives in the user's log within which no receive call was observed. Columns
        ``tid``, ``begin_ns``, ``end_ns``.
    unlogged
        The messages read from a socket that the reader keeps a log of, but not logged. Columns
        ``tid``, and ``start_ns`` of the receive call.
    logging
        By channel, how many calls were seen of sockets and options that the log tells of.
    reads
        How many messages each witness saw being read from netlink sockets.
    """

    exchanges: pd.DataFrame
    disordered: int
    disagreeing: int
    astray: int
    unseen: pd.DataFrame
    unlogged: pd.DataFrame
    logging: dict[str, int]
    reads: Reads
    _records: Mapping[str, pd.DataFrame] = field(repr=False)
    _log: pd.DataFrame = field(repr=False)
    _tasks: pd.DataFrame = field(repr=False)
    _options: dict[str, Any] = field(repr=False)

    @cached_property
    def stages(self) -> pd.DataFrame:
        """The pieces of the exchanges, with the columns of ``run.stages``: a second pass."""
        result = run(self._records, self._log, self._tasks, stages=True, **self._options)
        start = _with(result.columns[fields.C_START], _left(self._log, result)["begin_ns"])
        place = np.empty(start.size, np.int64)
        place[np.argsort(start, kind="stable")] = np.arange(start.size)
        exchange, stage = place[result.pieces[:, 0]], result.pieces[:, 1].astype(np.int8)
        order = np.lexsort((stage, result.pieces[:, 2], exchange))
        exchange, stage = exchange[order], stage[order]
        begin, end = result.pieces[order, 2], result.pieces[order, 3]
        return pd.DataFrame(
            {
                "exchange": exchange,
                "stage": pd.Categorical.from_codes(stage, categories=pd.Index(STAGES)),
                "occurrence": rank(exchange, stage.astype(np.int64)),
                "start_ns": begin,
                "dur_ns": end - begin,
            },
            copy=False,
        )


def correlate(
    records: Mapping[str, pd.DataFrame],
    sends: pd.DataFrame,
    tasks: pd.DataFrame,
    meta: dict[str, Any],
    **options: Any,
) -> Correlation:
    """Join the records of a recording by kind, and its log (columns as in ``tracer.recording``).

    ``exchanges`` has one row per exchange, sorted by ``start_ns``. ``total_ns`` is the sum of an
    exchange's stages plus ``unexplained_ns``; stages that were not observed are NA. The options
    are those of :func:`tracer.correlate.onepass.run.run`.
    """
    result = run(records, sends, tasks, **options)
    n, kind = result.n, sends["kind"].to_numpy()
    unread = (kind == RECEIVE) & (sends["size"].to_numpy() > 0) & (result.used == 0)
    reads = Reads(*(n[at] for at in (
        fields.N_CALLS, fields.N_FILLED, fields.N_CONSUMED, fields.N_KNOWN, fields.N_EARLY,
        fields.N_QUEUED,
    )))  # fmt: skip
    logging = _logging(result.columns[fields.C_PACK])
    unlogged = pd.DataFrame(result.unlogged.copy(), columns=["tid", "start_ns"])
    unseen = sends.loc[unread, ["tid", "begin_ns", "end_ns"]].astype(np.int64)
    exchanges = _frame(result, _left(sends, result), tasks, meta)
    return Correlation(
        exchanges, n[fields.N_DISORDERED], n[fields.N_DISAGREE], n[fields.N_ASTRAY],
        unseen.reset_index(drop=True),
        unlogged, logging, reads, records, sends, tasks, options,
    )  # fmt: skip


def _left(log: pd.DataFrame, result: Result) -> pd.DataFrame:
    """The sends and calls of the user's log that belong to no record."""
    kind = log["kind"].to_numpy()
    return log[(result.used == 0) & ((kind == SEND) | (kind == CALL))]


def _logging(pack: Ints) -> dict[str, int]:
    """How many rows of each channel are in the log, or should be."""
    status = pack >> fields.PACK_STATUS & 0xF
    mine = (pack >> fields.PACK_SENT & 1 != 0) | (status == fields.UNMATCHED_KERNEL)
    count = np.bincount(pack[mine] & 0xF, minlength=len(CHANNELS))
    return {channel: int(count[number]) for number, channel in enumerate(CHANNELS)}


def _frame(
    result: Result, left: pd.DataFrame, tasks: pd.DataFrame, meta: dict[str, Any]
) -> pd.DataFrame:
    """The frame of exchanges; it lies in the memory of the result."""
    unseen, kinds = _unseen(left, result.kinds)
    rows = {
        number: _with(column, unseen.get(number, np.full(len(left), NONE)))
        for number, column in result.columns.items()
    }
    start = rows[fields.C_START]
    if (start[1:] < start[:-1]).any():
        order = np.argsort(start, kind="stable")
        for column in rows.values():
            column[:] = column[order]
    pack = rows[fields.C_PACK]
    columns: dict[str, Any] = {name: rows[number] for name, number in _PLAIN.items()}
    columns |= {name: _nullable(rows[number]) for name, number in _NULLABLE.items()}
    columns |= {
        "channel": _category(pack & 0xF, CHANNELS),
        "status": _category(pack >> fields.PACK_STATUS & 0xF, STATUSES),
        "match": _category((pack >> fields.PACK_MATCH & 0xF) - 1, MATCHES),
        "logged": pack >> fields.PACK_LOGGED & 1 != 0,
        "token": rows[fields.C_TOKEN].view(np.uint64),
        "name": _told(pack >> fields.PACK_KIND & 0xFF_FFFF, _names(kinds, meta)),
        "comm": _told(
            (pack >> fields.PACK_COMM) - 1,
            np.append(tasks["comm"].to_numpy(object)[task_order(tasks)], ""),
        ),
    }
    return pd.DataFrame({name: columns[name] for name in _COLUMNS}, copy=False)


def _with(column: Ints, more: Any) -> Ints:
    """The column and more values behind it."""
    return np.concatenate([column, np.asarray(more, np.int64)]) if len(more) else column


def _nullable(values: Ints) -> Any:
    """The column with NA for NONE."""
    return pd.arrays.IntegerArray(values, values == NONE)


def _category(codes: Ints, categories: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes.astype(np.int8), categories=pd.Index(categories))


def _told(number: Ints, names: npt.NDArray[np.object_]) -> pd.Categorical:
    """The name of each row, by its number among the names (NONE: the last one)."""
    there = np.bincount(number + 1, minlength=names.size + 1)[1:] > 0
    there[-1] |= bool((number == NONE).any())
    used = pd.Index(sorted({str(name) for name in names[there]}), dtype="str")
    codes = used.get_indexer([str(name) for name in names]).astype(np.int32)
    return pd.Categorical.from_codes(codes[number], categories=used)


def _names(kinds: list[tuple[int, int]], meta: dict[str, Any]) -> npt.NDArray[np.object_]:
    """The name of each type of exchange."""
    parameters = (meta.get("module") or {}).get("parameters") or {}
    base = int(parameters.get("sockopt_base") or 10128)
    protocols = int(parameters.get("netlink_proto") or 30), int(parameters.get("icmp_proto") or 31)
    space, number = np.array([*kinds, (0, 0)], np.int64).T
    option = space == OPTIONS
    return np.where(option, sockopt_names(number, base), netlink_names(space, number, *protocols))


def _unseen(
    left: pd.DataFrame, kinds: list[tuple[int, int]]
) -> tuple[dict[int, Ints], list[tuple[int, int]]]:
    """The rows of the sends and calls that nobody saw, and the types with theirs behind them.

    Each is an exchange without stages, with the status ``unmatched_user``.
    """
    log = {name: left[name].to_numpy().astype(np.int64) for name in left if name != "token"}
    netlink = log["kind"] == SEND
    zero = np.zeros(len(left), np.int64)
    space = np.where(netlink, log["proto"], OPTIONS)
    pairs = list(zip(space.tolist(), log["type"].tolist(), strict=True))
    kinds = [*kinds, *sorted(set(pairs) - set(kinds))]
    kind = np.array([kinds.index(pair) for pair in pairs], np.int64)
    channel = np.array(_LOG_CHANNELS)[log["channel"]]
    pack = channel | fields.UNMATCHED_USER << fields.PACK_STATUS | 1 << fields.PACK_LOGGED
    total = log["end_ns"] - log["begin_ns"]
    found = {
        fields.C_TID: log["tid"], fields.C_TGID: log["tgid"], fields.C_REQUEST: log["size"],
        fields.C_REPLIED: zero, fields.C_COPIED: zero, fields.C_REPLIES: zero,
        fields.C_ERRNO: log["errno"], fields.C_START: log["begin_ns"], fields.C_TOTAL: total,
        fields.C_UNEXPLAINED: total,
        fields.C_TOKEN: left["token"].to_numpy().astype(np.uint64).view(np.int64),
        fields.C_PACK: pack | kind << fields.PACK_KIND,
        fields.C_OPTNAME: np.where(netlink, NONE, log["type"]),
    }  # fmt: skip
    for number, name in ((fields.C_PROTO, "proto"), (fields.C_PORT, "portid"),
                         (fields.C_SEQ, "seq"), (fields.C_TYPE, "type")):  # fmt: skip
        found[number] = np.where(netlink, log[name], NONE)
    return found, kinds
