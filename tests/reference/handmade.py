# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams of records made by hand, with round numbers, to test the reference matcher with."""

from __future__ import annotations

from typing import Any

from joined import R_COPY, S_BEGUN, S_DONE, S_QUEUED
from matcher import match
from rows import R_COPIED, Row
from streams import KINDS, POINTS, Stream

from tracer.recording import SCHEMAS

Record = dict[str, Any]


class Records:
    """Collects records in the order in which they leave the ring, and entries of the user's log.

    All are of thread 1 of process 1 and of its socket with port id 7 on protocol 0, if nothing
    else is said.
    """

    def __init__(self) -> None:
        self.stream = Stream({kind: [] for kind in KINDS}, [])
        self._order = 0

    def add(self, kind: str, point: str, **fields: Any) -> Record:
        """A record with 0 in every column that is not given."""
        record = dict.fromkeys(SCHEMAS[kind].names, 0)
        record |= {"tid": 1, "tgid": 1, "netns": 1, "order": self._order, "point": POINTS[point]}
        record |= {"portid": 7} if kind != "opt_calls" else {}
        self._order += 1
        self.stream.rows[kind].append(record | fields)
        return self.stream.rows[kind][-1]

    def send(self, enter: int, leave: int, seq: int = 1, bits: int = 0, **fields: Any) -> Record:
        """A send call that reaches netlink_unicast 10 ns after its begin."""
        for name, bit in (("begin_ns", S_BEGUN), ("done_ns", S_DONE), ("queued_ns", S_QUEUED)):
            bits |= bit * (name in fields)
        fields = {"size": 20, "ret": 20, "type": 16, "reply_size": 32, "reply_type": 16} | fields
        return self.add("send_calls", "send", enter_ns=enter, unicast_ns=enter + 10,
                        exit_ns=leave, seq=seq, bits=bits, **fields)  # fmt: skip

    def recv(self, enter: int, skb: int, **fields: Any) -> Record:
        """A receive call of 30 ns; the copy is in the middle third."""
        return self.add("recv_calls", "recv", **{
            "enter_ns": enter, "copy_ns": enter + 10, "copied_ns": enter + 20, "skb": skb,
            "exit_ns": enter + 30, "size": 32, "ret": 32, "bits": R_COPY | R_COPIED,
        } | fields)  # fmt: skip

    def extra(self, point: str, start: int, end: int | None = None, **fields: Any) -> Record:
        """A record of its own, of an instant if ``end`` is left out."""
        given = {"start_ns": start, "end_ns": start if end is None else end, "size": 36}
        return self.add("extras", point, **(given | fields))

    def option(self, point: str, enter: int, **fields: Any) -> Record:
        """A socket-option call of 100 ns, 80 of them in netfilter's part."""
        return self.add("opt_calls", point, **{
            "enter_ns": enter, "nf_ns": enter + 10, "left_ns": enter + 90, "exit_ns": enter + 100,
            "size": 24, "optname": 64, "pf": 2, "bits": 0x20,
        } | fields)  # fmt: skip

    def log(self, kind: int, begin: int, end: int, **fields: Any) -> None:
        """An entry of the user's log: kind 0 send, 1 receive, 2 call."""
        entry = dict.fromkeys(SCHEMAS["sends"].names, 0)
        entry |= {"kind": kind, "begin_ns": begin, "end_ns": end, "tid": 1, "tgid": 1}
        entry |= {"portid": 7, "seq": 1} if kind != 2 else {}
        self.stream.sends.append(entry | fields)

    def match(self) -> list[Row]:
        """The exchanges."""
        return match(**self.stream.rows, sends=self.stream.sends)


def stages(row: Row) -> dict[str, int]:
    """The stages of a row that are known, and what is left over."""
    found = {name[:-3]: value for name, value in row.items() if name.endswith("_ns")}
    others = ("start", "total", "send_return", "first_reply")
    return {name: ns for name, ns in found.items() if ns is not None and name not in others}


def column(rows: list[Row], name: str) -> list[Any]:
    """One column of the rows."""
    return [row[name] for row in rows]
