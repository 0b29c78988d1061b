# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the observations, the rows of ``run.events``, from the records of a recording.

A record holds all boundaries of a system call; an observation is one call or instant inside it.
What encloses what follows from the kind of record, and is told by ``depth``. Some ends were not
observed: the ``netlink_unicast`` that sends a message ends with its send call here, and so does
a ``netlink_dump`` with the queueing of its message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracer.correlate.columns import Ints, Mask, latest, take
from tracer.event import (
    BY_BROADCAST,
    BY_DUMP,
    BY_OTHER,
    BY_UNICAST,
    CODE,
    KIND_MESSAGE,
    KIND_SPAN,
    O_BEGUN,
    O_COPIED,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    POINTS,
    R_COPIED,
    R_COPY,
    RECORD_POINTS,
    S_BEGUN,
    S_DONE,
    S_DUMP,
    S_LAST,
    S_MODULE,
    S_QUEUED,
    S_TRIED,
    TO_KERNEL,
    TO_PEER,
    TO_USER,
    X_LAST,
    X_RECEIVING,
    X_SENDING,
)

#: The columns of the observations and their types; ``point`` is a categorical.
COLUMNS: dict[str, Any] = {
    "start_ns": np.int64,
    "end_ns": np.int64,
    "kind": np.uint8,
    "point": np.int8,
    "depth": np.uint8,
    "cpu": np.uint16,
    "tid": np.uint32,
    "tgid": np.uint32,
    "netns": np.uint32,
    "sock": np.int32,
    "skb": np.int32,
    "token": np.uint64,
    "proto": np.uint8,
    "direction": np.uint8,
    "portid": np.uint32,
    "seq": np.uint32,
    "type": np.uint32,
    "flags": np.uint32,
    "size": np.uint32,
    "ret": np.int32,
}
_EVERY = ("cpu", "tid", "tgid", "netns")
_SOCKET = ("portid", "proto", "sock")
_HEADER = (*_SOCKET, "seq", "type", "flags", "size")
#: The depth of what an interrupt did while the thread was inside a call. It is deeper than
#: anything inside such a call, so that it is not taken for a part of it.
_APART = 8

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class _Part:
    """Observations of one point, at most one for each record of a kind.

    ``record`` are the numbers of the records, ``values`` the columns that are not 0.
    """

    record: Ints
    values: dict[str, Any]


class _Parts:
    """Collects observations; those of one record in the order in which they are added."""

    def __init__(self) -> None:
        self.found: list[_Part] = []

    def add(
        self, rows: _Records, where: Mask, point: str, start: Ints, end: Ints, depth: Any,
        copied: tuple[str, ...] = (), **values: Any,
    ) -> None:  # fmt: skip
        """Add an observation for each record ``where`` the mask is true.

        ``copied`` are columns that have the record's value. The other arguments are scalars or
        columns of the length of ``rows``.
        """
        here = np.flatnonzero(where)
        if not here.size:
            return
        given = {name: rows[name] for name in (*_EVERY, *copied)} | values
        given |= {"start_ns": start, "end_ns": end, "depth": depth, "point": CODE[point]}
        number = rows.number
        if here.size < len(rows):
            number = number[here]
            given = {
                name: value[here] if isinstance(value, np.ndarray) else value
                for name, value in given.items()
            }
        self.found.append(_Part(number, given))

    def frame(self, records: int) -> pd.DataFrame:
        """The observations as a frame, those of the record with the lowest number first."""
        counts = np.zeros(records, np.int64)
        for part in self.found:
            counts[part.record] += 1
        following = np.cumsum(counts) - counts
        columns = {name: np.zeros(int(counts.sum()), kind) for name, kind in COLUMNS.items()}
        columns["kind"][:] = KIND_SPAN
        columns["sock"][:] = columns["skb"][:] = -1
        for part in self.found:
            place = following[part.record]
            following[part.record] += 1
            for name, value in part.values.items():
                columns[name][place] = value
        points = pd.Categorical.from_codes(columns["point"], categories=pd.Index(POINTS))
        return pd.DataFrame({**columns, "point": points}, copy=False)


class _Records:
    """The records of one kind, with their numbers in the ring's order over all kinds."""

    def __init__(self, frame: pd.DataFrame, number: Ints) -> None:
        self.number = number
        self.columns: dict[str, Values] = {name: frame[name].to_numpy() for name in frame.columns}

    def __getitem__(self, name: str) -> Values:
        return self.columns[name]

    def __len__(self) -> int:
        return self.number.size

    def has(self, bit: int) -> Mask:
        """Which records have this bit set."""
        return np.asarray((self["bits"] & bit) != 0, np.bool_)

    def of(self, point: str) -> Mask:
        """Which records are of this point."""
        return np.asarray(self["point"] == RECORD_POINTS.index(point), np.bool_)

    @property
    def every(self) -> Mask:
        """All records."""
        return np.ones(len(self), np.bool_)


def observations(
    send_calls: pd.DataFrame,
    recv_calls: pd.DataFrame,
    opt_calls: pd.DataFrame,
    extras: pd.DataFrame,
) -> pd.DataFrame:
    """The observations of a recording, with the columns `COLUMNS`; see ``Frames.events``.

    They are in the order in which the records left the ring; those of one record from the
    outside to the inside.
    """
    frames = [send_calls, recv_calls, opt_calls, extras]
    order = np.concatenate([frame["order"].to_numpy() for frame in frames])
    number = np.empty(order.size, np.int64)
    number[np.argsort(order, kind="stable")] = np.arange(order.size)
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    sends, receives, options, others = (
        _Records(frame, part) for frame, part in zip(frames, np.split(number, ends), strict=True)
    )
    _name_sockets(sends, receives, options, others)
    parts = _Parts()
    _sent(parts, sends)
    _answered(parts, sends)
    _received(parts, receives)
    _set_and_got(parts, options)
    _inside(parts, others)
    _queued(parts, others, _apart(others, sends, receives, options))
    return parts.frame(order.size)


def _name_sockets(sends: _Records, receives: _Records, options: _Records, others: _Records) -> None:
    """Give each record the id of its socket (``sock``), and a send that of its receiver's.

    A netlink socket is identified by its network namespace, protocol and port id.
    """
    ports = [sends["portid"], sends["dst"], receives["portid"], others["portid"]]
    port = np.concatenate(ports).astype(np.int64)
    owners = (sends, sends, receives, others)
    netns = np.concatenate([rows["netns"] for rows in owners])
    proto = np.concatenate([rows["proto"] for rows in owners]).astype(np.int64)
    namespace = pd.factorize(netns)[0].astype(np.int64)
    key = namespace << 40 | proto << 32 | port
    known = port != 0
    ids = np.full(port.size, -1, np.int32)
    codes, sockets = pd.factorize(key[known])
    ids[known] = codes
    split = np.split(ids, np.cumsum([part.size for part in ports])[:-1])
    sends.columns["sock"], sends.columns["dst_sock"] = split[0], split[1]
    receives.columns["sock"], others.columns["sock"] = split[2], split[3]
    own = options["sock"]
    options.columns["sock"] = np.where(own >= 0, own + np.int32(sockets.size), own)


def _sent(parts: _Parts, rows: _Records) -> None:
    """The send call, its message, and the handler that receives it."""
    enter, unicast, leave = rows["enter_ns"], rows["unicast_ns"], rows["exit_ns"]
    begun, module = rows.has(S_BEGUN), rows.has(S_MODULE)
    begin = np.where(begun, rows["begin_ns"], unicast)
    done = np.where(rows.has(S_DONE), rows["done_ns"], begin)
    parts.add(rows, rows.every, "netlink_sendmsg", enter, leave, 0, (*_SOCKET, "ret"),
              size=np.maximum(rows["ret"], 0))  # fmt: skip
    parts.add(rows, rows.every, "netlink_unicast", unicast, leave, 1, _HEADER,
              direction=np.where(rows["dst"] == 0, TO_KERNEL, TO_PEER))  # fmt: skip
    parts.add(rows, begun & ~module, "netlink_rcv_skb", begin, begin, 2, (*_SOCKET, "seq", "type"))
    parts.add(rows, module, "msgchan_handler", begin, done, 2,
              ("token", "portid", "seq", "type", "size"),
              proto=rows["channel"], ret=rows["error"])  # fmt: skip


def _answered(parts: _Parts, rows: _Records) -> None:
    """The first answer of a request, or the message to another process, and its queueing.

    Where msgchan reported the end of its handler, that is taken for the entry of the
    ``netlink_unicast`` that sends the answer.
    """
    queued, dump, known = rows.has(S_QUEUED), rows.has(S_DUMP), rows.has(S_DONE)
    own, at = rows["dst"] == 0, rows["queued_ns"]
    done = np.where(known, rows["done_ns"], rows["unicast_ns"])
    begin = np.where(rows.has(S_BEGUN), rows["begin_ns"], rows["unicast_ns"])
    answer = {
        "skb": rows["reply_skb"], "type": rows["reply_type"], "flags": rows["reply_flags"],
        "size": rows["reply_size"],
    }  # fmt: skip
    by_unicast = queued & own & ~dump & known
    by_dump = queued & own & dump
    named = (*_SOCKET, "seq")
    parts.add(rows, by_unicast, "netlink_unicast", done, at, 2, named,
              direction=TO_USER, **answer)  # fmt: skip
    parts.add(rows, by_dump, "netlink_dump", begin, at, 2, _SOCKET,
              flags=rows.has(S_LAST).astype(np.uint32))  # fmt: skip
    depth = np.where(by_unicast | by_dump, 3, 2)
    parts.add(rows, queued & own, "__netlink_sendskb", at, at, depth, named,
              ret=rows["reply_error"], **answer)  # fmt: skip
    parts.add(rows, queued & ~own, "__netlink_sendskb", at, at, 2, ("proto", "seq"),
              portid=rows["dst"], sock=rows["dst_sock"], ret=rows["reply_error"],
              **answer)  # fmt: skip
    parts.add(rows, rows.has(S_TRIED) & ~queued & own, "netlink_unicast", done, done, 2, named,
              direction=TO_USER)  # fmt: skip


def _received(parts: _Parts, rows: _Records) -> None:
    """The receive call and the copy in it."""
    copy = rows["copy_ns"]
    copied = np.where(rows.has(R_COPIED), rows["copied_ns"], copy)
    parts.add(rows, rows.every, "netlink_recvmsg", rows["enter_ns"], rows["exit_ns"], 0,
              (*_SOCKET, "flags", "ret"), size=np.maximum(rows["ret"], 0))  # fmt: skip
    parts.add(rows, rows.has(R_COPY), "skb_copy_datagram_iter", copy, copied, 1,
              (*_SOCKET, "skb", "size"))  # fmt: skip


def _set_and_got(parts: _Parts, rows: _Records) -> None:
    """The socket-option call, netfilter's part of it, its handler and the first copy."""
    enter, inner, leave = rows["enter_ns"], rows["nf_ns"], rows["exit_ns"]
    left = np.where(rows.has(O_LEFT), rows["left_ns"], leave)
    begin = np.where(rows.has(O_BEGUN), rows["begin_ns"], inner)
    done = np.where(rows.has(O_DONE), rows["done_ns"], begin)
    copy = rows["copy_ns"]
    copied = np.where(rows.has(O_COPIED), rows["copied_ns"], copy)
    module, copies = rows.has(O_MODULE), rows.has(O_COPY)
    for name in ("setsockopt", "getsockopt"):
        here = rows.of(name)
        parts.add(rows, here, name, enter, leave, 0, ("ret",))
        parts.add(rows, here, f"nf_{name}", inner, left, 1, ("size", "sock", "ret"),
                  type=rows["optname"])  # fmt: skip
    parts.add(rows, module, "msgchan_handler", begin, done, 2, ("token", "size"),
              type=rows["optname"], proto=rows["channel"], ret=rows["error"])  # fmt: skip
    parts.add(rows, module & copies, "msgchan_copy", copy, copied, 2, ("token",),
              size=rows["copied"])  # fmt: skip
    parts.add(rows, ~module & copies, "copy_to_user", copy, copied, 2,
              size=rows["copied"], type=rows["optname"])  # fmt: skip


def _inside(parts: _Parts, rows: _Records) -> None:
    """What did not fit into the record of its call, and waits."""
    start, end = rows["start_ns"], rows["end_ns"]
    parts.add(rows, rows.of("message"), "netlink_unicast", start, end, 2, _HEADER,
              kind=KIND_MESSAGE, direction=TO_KERNEL)  # fmt: skip
    parts.add(rows, rows.of("handled"), "msgchan_handler", start, end, 2,
              ("token", "portid", "seq", "type", "size", "ret"), proto=rows["channel"])  # fmt: skip
    parts.add(rows, rows.of("copy"), "copy_to_user", start, end, 2, ("size", "ret", "type"))
    parts.add(rows, rows.of("poll"), "poll", start, end, 0, (*_SOCKET, "ret"))


def _queued(parts: _Parts, rows: _Records, apart: Mask) -> None:
    """The messages that were queued at traced sockets, each with what sent it, and lost ones."""
    outer = np.where(rows.has(X_SENDING), 2, np.where(rows.has(X_RECEIVING), 1, 0))
    outer = np.where(apart, _APART, outer)
    queued, source = rows.of("queued"), rows["source"]
    start, end = rows["start_ns"], rows["end_ns"]
    parts.add(rows, queued & (source == BY_UNICAST), "netlink_unicast", start, end, outer,
              (*_HEADER, "skb"), direction=TO_USER)  # fmt: skip
    parts.add(rows, queued & (source == BY_BROADCAST), "netlink_broadcast", start, end, outer,
              ("proto", "seq", "type", "flags", "size", "skb"))  # fmt: skip
    parts.add(rows, queued & (source == BY_DUMP), "netlink_dump", start, end, outer, _SOCKET,
              flags=rows.has(X_LAST).astype(np.uint32))  # fmt: skip
    depth = outer + (source != BY_OTHER)
    parts.add(rows, queued, "__netlink_sendskb", end, end, depth, (*_HEADER, "skb", "ret"))
    parts.add(rows, rows.of("overrun"), "netlink_overrun", start, end, outer, _SOCKET)


def _apart(others: _Records, *calls: _Records) -> Mask:
    """Which records tell of an interrupt that came while their thread was inside a call.

    They are those that are no part of a call but lie within one in time.
    """
    polls = others.of("poll")
    alone = np.flatnonzero((others.of("queued") | others.of("overrun"))
                           & ~others.has(X_SENDING | X_RECEIVING))  # fmt: skip
    thread = _threads(others)
    found = np.zeros(len(others), np.bool_)
    threads = np.concatenate([*map(_threads, calls), thread[polls]])
    start, end = (
        np.concatenate([*(rows[name] for rows in calls), others[other][polls]])
        for name, other in (("enter_ns", "start_ns"), ("exit_ns", "end_ns"))
    )
    near = np.isin(threads, thread[alone])
    around = latest(thread[alone], others["end_ns"][alone], threads[near], start[near])
    found[alone] = take(end[near], around) >= others["start_ns"][alone]
    return found


def _threads(rows: _Records) -> Ints:
    """The thread of each record; the idle task of each CPU is one, all of them have tid 0."""
    tid = rows["tid"].astype(np.int64)
    return np.where(tid == 0, -1 - rows["cpu"].astype(np.int64), tid)
