# SPDX-License-Identifier: GPL-2.0-or-later
"""Small recordings made by hand: nested calls, and a user's log around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from properties import check_partition, check_sums
from record_folder import Record, fold, shuffled

from tracer.correlate.exchanges import Correlation, Reads, correlate
from tracer.correlate.observations import COLUMNS
from tracer.correlate.onepass.run import CALLS
from tracer.correlate.stages import STAGES
from tracer.event import KIND_MESSAGE, KIND_SPAN, POINTS, TO_KERNEL, TO_USER
from tracer.recording import SCHEMAS

#: The program of every scene: process and first thread, its port id, its protocol.
PID, PORT, PROTO, NETNS = 100, 100, 30, 4026531840
NLMSG_ERROR, NLMSG_DONE = 2, 3
MSG_PEEK = 2
NLM_F_ACK, NLM_F_DUMP = 0x4, 0x300
#: The points that have a netlink socket.
NETLINK = {
    *(point for point in POINTS if "netlink" in point), "skb_copy_datagram_iter", "poll",
}  # fmt: skip


@dataclass(frozen=True)
class Played:
    """What correlation made of a scene; as much of a Run as the properties need."""

    exchanges: pd.DataFrame
    stages: pd.DataFrame
    disordered: int
    unread: int
    reads: Reads
    disagreeing: int

    @property
    def only(self) -> pd.Series:
        """The one exchange that there is."""
        assert len(self.exchanges) == 1, self.exchanges.to_string()
        return self.exchanges.iloc[0]


def stages_of(exchange: pd.Series) -> dict[str, int]:
    """The stages that were observed, and what is left over: name -> ns."""
    seen = {s: int(exchange[f"{s}_ns"]) for s in STAGES if pd.notna(exchange[f"{s}_ns"])}
    return seen | {"unexplained": int(exchange["unexplained_ns"])}


class Scene:
    """Collects events, by nesting, and entries of the user's log. Times are in ns."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._sends: list[dict[str, Any]] = []
        self._tasks: list[dict[str, Any]] = []
        self._socks: dict[tuple[int, ...], int] = {}
        self._open: dict[int, int] = {}

    @contextmanager
    def call(self, point: str, start: int, end: int, **fields: Any) -> Iterator[None]:
        """A call around what happens in the ``with`` block."""
        tid = fields.get("tid", PID)
        self._open[tid] = self._open.get(tid, 0) + 1
        yield
        self._open[tid] -= 1
        self.span(point, start, end, **fields)

    def span(self, point: str, start: int, end: int | None = None, **fields: Any) -> None:
        """A call with nothing of interest in it, or an instant when ``end`` is left out."""
        row: dict[str, Any] = dict.fromkeys(COLUMNS, 0)
        row |= {"start_ns": start, "end_ns": start if end is None else end, "point": point}
        row |= {"kind": KIND_SPAN, "tid": PID, "tgid": PID, "sock": -1, "skb": -1}
        if point in NETLINK:
            row |= {"proto": PROTO, "portid": PORT, "netns": NETNS}
        row |= fields
        row["depth"] = fields.get("depth", self._open.get(row["tid"], 0))
        if point in NETLINK and row["portid"]:
            key = (row["netns"], row["proto"], row["portid"])
            row["sock"] = self._socks.setdefault(key, len(self._socks))
        self._events.append(row)

    def further(self, start: int, seq: int, **fields: Any) -> None:
        """One further message of the buffer of the netlink_unicast that is open."""
        fields = {"kind": KIND_MESSAGE, "direction": TO_KERNEL, "seq": seq, "skb": 0} | fields
        self.span("netlink_unicast", start, **fields)

    def to_kernel(self, start: int, end: int, seq: int, **fields: Any) -> Any:
        """The netlink_unicast of a request."""
        fields = {"direction": TO_KERNEL, "seq": seq, "skb": 0, "type": 0x10, "size": 64} | fields
        return self.call("netlink_unicast", start, end, **fields)

    def queue(self, at: int, seq: int, skb: int, **fields: Any) -> None:
        """A message is queued on the program's socket."""
        self.span("__netlink_sendskb", at, seq=seq, skb=skb, **({"size": 32} | fields))

    def reply(self, start: int, at: int, end: int, seq: int, skb: int, **fields: Any) -> None:
        """The netlink_unicast of an answer, which queues it at ``at``."""
        with self.call(
            "netlink_unicast", start, end, direction=TO_USER, seq=seq, skb=skb, **fields
        ):
            self.queue(at, seq, skb, **fields)

    def receive(self, start: int, copy: tuple[int, int], end: int, skb: int, **fields: Any) -> None:
        """A receive call with its copy; ``flags`` are those of the call."""
        who = {name: fields[name] for name in ("tid", "tgid") if name in fields}
        with self.call("netlink_recvmsg", start, end, flags=fields.pop("flags", 0), **who):
            self.span("skb_copy_datagram_iter", *copy, skb=skb, **({"size": 32} | fields))

    def log(self, kind: int, begin: int, end: int, **fields: Any) -> None:
        """An entry of the user's log: kind 0 send, 1 receive, 2 call."""
        row: dict[str, Any] = dict.fromkeys(SCHEMAS["sends"].names, 0)
        row |= {"begin_ns": begin, "end_ns": end, "kind": kind, "tid": PID, "tgid": PID}
        if kind != 2:
            row |= {"portid": PORT, "proto": PROTO}
        self._sends.append(row | {"size": 64} | fields)

    def task(self, start: int, tid: int, comm: str) -> None:
        """A task record: from now on thread ``tid`` is called ``comm``."""
        row = {"start_ns": start, "tid": tid, "tgid": PID, "ppid": 1, "netns": NETNS, "comm": comm}
        self._tasks.append(row)

    def records(self) -> list[Record]:
        """The records of the scene's calls, in the order in which they leave the ring."""
        return fold(self._events)

    def frames(self, seed: int | None = None) -> dict[str, pd.DataFrame]:
        """The rows of a recording by kind; a ``seed`` mixes the threads' records anew."""
        records = self.records()
        records = records if seed is None else shuffled(records, seed)
        rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in CALLS}
        for order, (kind, record) in enumerate(records):
            rows[kind].append(record | {"order": order})
        rows |= {"sends": self._sends, "tasks": self._tasks}
        return {kind: typed(kind, rows[kind]) for kind in rows}

    def play(self, seed: int | None = None) -> Played:
        """Correlate the scene, its threads mixed at random with a ``seed``; check what must hold.

        The order of the ring is that of the ends of calls on many CPUs: nothing may
        depend on it.
        """
        result = correlated(self.frames(seed))
        played = Played(
            result.exchanges, result.stages, result.disordered, len(result.unseen), result.reads,
            result.disagreeing,
        )  # fmt: skip
        check_sums(played)
        check_partition(played)
        return played


def correlated(frames: dict[str, pd.DataFrame]) -> Correlation:
    """What correlation makes of the rows of a recording, the same whatever the window."""
    records = {kind: frames[kind] for kind in CALLS}
    found = correlate(records, frames["sends"], frames["tasks"], {})
    again = correlate(records, frames["sends"], frames["tasks"], {}, window=3)
    pd.testing.assert_frame_equal(found.exchanges, again.exchanges)
    pd.testing.assert_frame_equal(found.stages, again.stages)
    return found


def typed(kind: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A frame of these rows: ``events``, or any kind of the recording's rows."""
    if kind == "events":
        types = COLUMNS
    else:
        types = {field.name: field.type.to_pandas_dtype() for field in SCHEMAS[kind]}
    columns: dict[str, Any] = {}
    for name, dtype in types.items():
        values = [row.get(name, 0) for row in rows]
        if name == "point" and kind == "events":
            columns[name] = pd.Categorical(values)
        elif name == "comm":
            columns[name] = pd.Series(values, dtype="str")
        else:
            columns[name] = np.array(values, dtype)
    return pd.DataFrame(columns)


def round_trip(scene: Scene, at: int = 0, seq: int = 1, skb: int = 1, **fields: Any) -> None:
    """A request to msgchan and its answer, logged, in stages of known length.

    encode 10, send_entry 20, deliver 30, handler 100, reply 25, queue 60, wake 15,
    copy 8, recv_exit 12, decode 20; the send call returns 35 after the answer lay
    in the queue; 300 in all.
    """
    token = fields.pop("token", 7)
    who = {name: fields[name] for name in ("tid", "portid") if name in fields}
    thread = {name: fields[name] for name in ("tid",) if name in fields}
    scene.log(0, at, at + 222, seq=seq, token=token, **who)
    unicast = scene.to_kernel(at + 30, at + 215, seq, **fields)
    with scene.call("netlink_sendmsg", at + 10, at + 220, **thread), unicast:
        scene.span("msgchan_handler", at + 60, at + 160, token=token, seq=seq, proto=2, **who)
        scene.reply(at + 170, at + 185, at + 200, seq, skb, type=0x20, **fields)
    scene.log(1, at + 240, at + 300, seq=seq, **who)
    scene.receive(at + 245, (at + 260, at + 268), at + 280, skb, seq=seq, **fields)


ROUND_TRIP = {
    "encode": 10, "send_entry": 20, "deliver": 30, "handler": 100, "reply": 25, "queue": 60,
    "wake": 15, "copy": 8, "recv_exit": 12, "decode": 20, "unexplained": 0,
}  # fmt: skip
