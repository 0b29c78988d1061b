# SPDX-License-Identifier: GPL-2.0-or-later
"""Joins events and sends into ``run.exchanges`` and ``run.stages``, for all channels together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.correlate.columns import NONE, Events, events_of, latest, names, take
from tracer.correlate.names import netlink_names, sockopt_names
from tracer.correlate.netlink import Answers, Reads, answers_of, reads_of, receive_entries
from tracer.correlate.notify import notify_exchanges
from tracer.correlate.pieces import Pieces
from tracer.correlate.request import peer_exchanges, request_exchanges
from tracer.correlate.rows import CHANNELS, INTEGERS, MATCHES, STATUSES, Block
from tracer.correlate.sockopt import sockopt_exchanges
from tracer.correlate.stages import STAGES
from tracer.correlate.user import CALL, RECEIVE, SEND, Sends, sends_of

#: The channel of an exchange by the ``channel`` of an entry in the user's log.
_LOG_CHANNELS = {0: "netlink", 1: "setsockopt", 2: "getsockopt", 3: "notify"}


@dataclass(frozen=True)
class Correlation:
    """The frames ``exchanges`` and ``stages``, and what the ledger needs besides them.

    disordered
        The number of exchanges that had a stage ending before it began; their stages are NA.
    unseen
        The receives in the user's log within which no receive call was observed. Columns
        ``tid``, ``begin_ns``, ``end_ns``.
    unlogged
        The messages read by a process that keeps a log, but not logged. Columns ``tid``, and
        ``start_ns`` of the receive call.
    reads
        How many messages each witness saw being read from netlink sockets.
    """

    exchanges: pd.DataFrame
    stages: pd.DataFrame
    disordered: int
    unseen: pd.DataFrame
    unlogged: pd.DataFrame
    reads: Reads


def correlate(
    events: pd.DataFrame, sends: pd.DataFrame, tasks: pd.DataFrame, meta: dict[str, Any]
) -> Correlation:
    """Join the events and sends of a recording (columns as in ``tracer.recording``).

    ``exchanges`` has one row per exchange, sorted by ``start_ns``; ``stages`` one row
    per piece of one. ``total_ns`` is the sum of an exchange's stages plus
    ``unexplained_ns``; stages that were not observed are NA.
    """
    kernel, user = events_of(events), sends_of(sends)
    answers = answers_of(kernel)
    requests, match = request_exchanges(kernel, user, answers)
    peers, to_peer = peer_exchanges(kernel, user, answers)
    notices = notify_exchanges(kernel, user, answers, (match < 0) & (to_peer < 0))
    blocks = [
        requests,
        peers,
        notices,
        sockopt_exchanges(kernel, user, "setsockopt"),
        sockopt_exchanges(kernel, user, "getsockopt"),
    ]
    blocks.append(_unmatched_sends(user, blocks))
    _mark_unlogged(blocks, user)
    exchanges = _frame(blocks, _names(blocks, meta))
    exchanges["comm"] = _comm(exchanges, tasks)
    stages = _joined(blocks).table()
    exchanges, stages, disordered = _assemble(exchanges, stages)
    unseen, unlogged = _receives(kernel, user, answers)
    reads = reads_of(kernel, answers)
    return Correlation(exchanges, stages, disordered, unseen, unlogged, reads)


def _unmatched_sends(user: Sends, blocks: list[Block]) -> Block:
    """The sends and calls of the user's log that belong to no kernel event.

    Each becomes an exchange without stages, with the status ``unmatched_user``.
    """
    used = np.zeros(user.begin_ns.size, np.bool_)
    for block in blocks:
        used[block.send[block.send >= 0]] = True
    left = np.flatnonzero(~used & ((user.kind == SEND) | (user.kind == CALL)))
    block = Block("", left.size, Pieces())
    netlink = user.kind[left] == SEND
    zero = np.zeros(left.size, np.int64)
    block.columns = {
        "tid": user.tid[left],
        "tgid": user.tgid[left],
        "proto": np.where(netlink, user.proto[left], NONE),
        "portid": np.where(netlink, user.portid[left], NONE),
        "seq": np.where(netlink, user.seq[left], NONE),
        "msg_type": np.where(netlink, user.type[left], NONE),
        "optname": np.where(netlink, NONE, user.type[left]),
        "request_bytes": user.size[left],
        "reply_bytes": zero,
        "copied_bytes": zero,
        "replies": zero,
        "errno": user.errno[left],
        "start_ns": user.begin_ns[left],
        "end_ns": user.end_ns[left],
    }
    block.token = user.token[left]
    block.status = np.full(left.size, "unmatched_user", object)
    block.match = np.full(left.size, "none", object)
    block.send = left
    block.receive = np.full(left.size, NONE, np.int64)
    block.channel = "user"
    block.columns["log_channel"] = user.channel[left]
    return block


def _mark_unlogged(blocks: list[Block], user: Sends) -> None:
    """Set the status ``unmatched_kernel`` where a process keeps a log, but not of this request."""
    logging = np.unique(user.tgid)
    for block in blocks:
        if block.channel in ("notify", "user"):
            continue
        unlogged = (block.send < 0) & np.isin(block.columns["tgid"], logging)
        block.status[unlogged] = "unmatched_kernel"


def _receives(kernel: Events, user: Sends, answers: Answers) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``unseen`` and ``unlogged`` of :class:`Correlation`."""
    entry = receive_entries(user, kernel, answers, np.arange(answers.queued.size))
    logged = np.flatnonzero((user.kind == RECEIVE) & (user.size > 0))
    reader = kernel.take("tgid", answers.receive)
    unlogged = (answers.receive >= 0) & (entry < 0) & np.isin(reader, np.unique(user.tgid))
    left, call = logged[~np.isin(logged, entry)], answers.receive[unlogged]
    return (
        pd.DataFrame({name: user.columns[name][left] for name in ("tid", "begin_ns", "end_ns")}),
        pd.DataFrame({name: kernel.columns[name][call] for name in ("tid", "start_ns")}),
    )


def _names(blocks: list[Block], meta: dict[str, Any]) -> list[npt.NDArray[np.object_]]:
    parameters = (meta.get("module") or {}).get("parameters") or {}
    base = int(parameters.get("sockopt_base") or 10128)
    protocols = int(parameters.get("netlink_proto") or 30), int(parameters.get("icmp_proto") or 31)
    told = []
    for block in blocks:
        optname = block.column("optname")
        by_type = netlink_names(block.column("proto"), block.column("msg_type"), *protocols)
        told.append(np.where(optname != NONE, sockopt_names(optname, base), by_type))
    return told


def _frame(blocks: list[Block], told: list[npt.NDArray[np.object_]]) -> pd.DataFrame:
    columns: dict[str, Any] = {"channel": np.concatenate([_channels(b) for b in blocks])}
    for name in INTEGERS:
        columns[name] = np.concatenate([block.column(name) for block in blocks])
    frame = pd.DataFrame(columns)
    for name in ("channel", *INTEGERS):
        if name not in ("channel", "start_ns", "end_ns"):
            frame[name] = frame[name].astype("Int64").mask(frame[name] == NONE)
    frame["channel"] = pd.Categorical(frame["channel"], categories=CHANNELS)
    frame["token"] = np.concatenate([block.token for block in blocks]).view(np.uint64)
    frame["status"] = pd.Categorical(
        np.concatenate([block.status for block in blocks]), categories=STATUSES
    )
    frame["match"] = pd.Categorical(
        np.concatenate([block.match for block in blocks]), categories=MATCHES
    )
    frame["name"] = names(np.concatenate(told))
    frame["logged"] = np.concatenate([(b.send >= 0) | (b.receive >= 0) for b in blocks])
    frame["total_ns"] = frame["end_ns"] - frame["start_ns"]
    return frame.drop(columns="end_ns")


def _channels(block: Block) -> npt.NDArray[np.object_]:
    if block.channel != "user":
        return np.full(block.size, block.channel, object)
    return np.array([_LOG_CHANNELS[c] for c in block.columns["log_channel"].tolist()], object)


def _joined(blocks: list[Block]) -> Pieces:
    pieces, offset = Pieces(), 0
    for block in blocks:
        pieces = pieces.joined(block.pieces.shifted(offset))
        offset += block.size
    return pieces


def _assemble(
    exchanges: pd.DataFrame, stages: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Sum the pieces of each exchange into its stage columns, and sort both frames by start.

    An exchange with a negative piece keeps no stages. Also returns how many those are.
    """
    # Where records were lost, a piece may end after the end that its channel determined.
    last = exchanges["start_ns"].to_numpy() + exchanges["total_ns"].to_numpy()
    np.maximum.at(
        last, stages["exchange"].to_numpy(), (stages["start_ns"] + stages["dur_ns"]).to_numpy()
    )
    exchanges["total_ns"] = last - exchanges["start_ns"]
    bad = np.unique(stages["exchange"].to_numpy()[stages["dur_ns"].to_numpy() < 0])
    stages = stages[~stages["exchange"].isin(bad)]
    owner = stages["exchange"].to_numpy()
    code = stages["stage"].cat.codes.to_numpy()
    explained = np.zeros(len(exchanges), np.int64)
    for number, stage in enumerate(STAGES):
        here = code == number
        total = np.zeros(len(exchanges), np.int64)
        np.add.at(total, owner[here], stages["dur_ns"].to_numpy()[here])
        seen = np.zeros(len(exchanges), np.bool_)
        seen[owner[here]] = True
        exchanges[f"{stage}_ns"] = pd.array(total, dtype="Int64")
        exchanges.loc[~seen, f"{stage}_ns"] = pd.NA
        explained += total
    exchanges["unexplained_ns"] = exchanges["total_ns"] - explained
    order = np.argsort(exchanges["start_ns"].to_numpy(), kind="stable")
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    stages = stages.assign(exchange=place[owner])
    stages = stages.sort_values(["exchange", "start_ns"], kind="stable").reset_index(drop=True)
    columns = [name for name in _COLUMNS if name in exchanges]
    return exchanges.iloc[order][columns].reset_index(drop=True), stages, int(bad.size)


_COLUMNS = (
    "channel",
    "name",
    "tgid",
    "tid",
    "comm",
    "netns",
    "proto",
    "portid",
    "seq",
    "msg_type",
    "optname",
    "token",
    "request_bytes",
    "reply_bytes",
    "copied_bytes",
    "replies",
    "errno",
    "status",
    "match",
    "logged",
    "start_ns",
    "total_ns",
    *(f"{stage}_ns" for stage in STAGES),
    "unexplained_ns",
    "send_return_ns",
    "first_reply_ns",
)


def _comm(exchanges: pd.DataFrame, tasks: pd.DataFrame) -> pd.Categorical:
    """The thread's name when the exchange began, from the last task record before it.

    If there is none of the thread, the name of its process's first thread is taken.
    """
    tid = exchanges["tid"].fillna(NONE).to_numpy(np.int64)
    tgid = exchanges["tgid"].fillna(NONE).to_numpy(np.int64)
    known = tasks["tid"].to_numpy().astype(np.int64)
    at = tasks["start_ns"].to_numpy().astype(np.int64)
    rows = np.arange(known.size)
    start = exchanges["start_ns"].to_numpy()
    found = take(rows, latest(tid, start, known, at))
    leader = take(rows, latest(tgid, start, known, at))
    row = np.where(found >= 0, found, leader)
    comms = np.append(tasks["comm"].to_numpy(object), "")
    return names(comms[row])
