# SPDX-License-Identifier: GPL-2.0-or-later
"""Small recordings of schema 3 made by hand: the records of system calls, and a log around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from event_builder import NETNS, PID, PORT, PROTO, Scene, typed

from tracer.correlate.observations import observations
from tracer.event import (
    BY_BROADCAST,
    BY_DUMP,
    BY_UNICAST,
    O_BEGUN,
    O_COPIED,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    R_COPIED,
    R_COPY,
    RECORD_POINTS,
    S_BEGUN,
    S_DONE,
    S_DUMP,
    S_MODULE,
    S_QUEUED,
    S_SEVERAL,
    S_TRIED,
    X_BYSTANDER,
    X_LAST,
    X_RECEIVING,
    X_SENDING,
)

CALLS = ("send_calls", "recv_calls", "opt_calls", "extras")
#: What the probes find in a record where the bits do not say what it is.
ECHO, DUMP = 0x10, 18


class Calls(Scene):
    """Collects records, in the order in which they leave the ring, and entries of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in CALLS}
        self._order = 0

    def row(self, kind: str, point: str, **fields: Any) -> None:
        """A record of this kind, with 0 in every column that is not given."""
        who = {"tid": PID, "tgid": PID, "netns": NETNS, "order": self._order}
        if kind != "opt_calls":
            who |= {"portid": PORT, "proto": PROTO}
        nothing = {"skb": -1, "reply_skb": -1, "sock": -1}
        self._order += 1
        self._rows[kind].append(nothing | who | {"point": RECORD_POINTS.index(point)} | fields)

    def send(
        self, enter: int, unicast: int, leave: int, seq: int, *, bits: int = 0,
        begin: int | None = None, done: int | None = None, queued: int | None = None,
        **fields: Any,
    ) -> None:  # fmt: skip
        """A send call; the times that are given are valid."""
        bits |= S_BEGUN * (begin is not None) | S_DONE * (done is not None)
        bits |= S_QUEUED * (queued is not None)
        times = {"enter_ns": enter, "unicast_ns": unicast, "exit_ns": leave}
        times |= {"begin_ns": begin or 0, "done_ns": done or 0, "queued_ns": queued or 0}
        given = {"ret": 64, "size": 64, "buffer": 64, "type": ECHO, "seq": seq}
        if queued is not None:
            given |= {"reply_size": 32, "reply_type": 0x20}
        self.row("send_calls", "send", **times, bits=bits, **(given | fields))

    def recv(
        self, enter: int, copy: tuple[int, int] | None, leave: int, skb: int, **fields: Any
    ) -> None:
        """A receive call that copies a message, or fails."""
        times = {"enter_ns": enter, "exit_ns": leave}
        if copy is not None:
            times |= {"copy_ns": copy[0], "copied_ns": copy[1], "bits": R_COPY | R_COPIED}
            fields = {"skb": skb, "size": 32, "ret": 32} | fields
        self.row("recv_calls", "recv", **times, **fields)

    def extra(self, point: str, start: int, end: int | None = None, **fields: Any) -> None:
        """An observation of its own, or an instant when ``end`` is left out."""
        times = {"start_ns": start, "end_ns": start if end is None else end}
        if point == "queued":
            fields = {"size": 32} | fields
        self.row("extras", point, **times, **fields)

    def rows(self) -> dict[str, pd.DataFrame]:
        """The rows of the recording by kind."""
        return {kind: typed(kind, rows) for kind, rows in self._rows.items()}

    def frames(self, seed: int | None = None) -> dict[str, pd.DataFrame]:
        """The rows of the recording by kind, with the log."""
        return super().frames(seed) | self.rows()

    def observations(self) -> pd.DataFrame:
        """What ``run.events`` is made of."""
        return observations(**self.rows())


def round_trip(calls: Calls, at: int = 0, seq: int = 1, skb: int = 1, **fields: Any) -> None:
    """`event_builder.round_trip` as the probes record it: two records."""
    token = fields.pop("token", 7)
    who = {name: fields[name] for name in ("tid", "portid") if name in fields}
    calls.log(0, at, at + 222, seq=seq, token=token, **who)
    # The module's handler ends where the answer's netlink_unicast begins.
    calls.send(at + 10, at + 30, at + 220, seq, begin=at + 60, done=at + 160, queued=at + 185,
               bits=S_MODULE | S_TRIED, token=token, channel=2, reply_skb=skb,
               **fields)  # fmt: skip
    calls.log(1, at + 240, at + 300, seq=seq, **who)
    calls.recv(at + 245, (at + 260, at + 268), at + 280, skb, **fields)


class Traffic:
    """Random calls of several threads, one socket each, that do not overlap within a thread.

    Every method makes exchanges whose stages are known: in ``expected``, by channel, thread, and
    the time at which they begin. A stage of 0 ns is not told.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.calls = Calls()
        self.expected: dict[tuple[str, int, int], dict[str, int]] = {}
        self._seq = 0
        self._now: dict[int, int] = {}

    def play(self, exchanges: int = 60, threads: int = 4) -> None:
        """Make so many exchanges."""
        kinds = (self.echo, self.ack, self.dump, self.sink, self.several, self.got, self.set_,
                 self.notified, self.interrupted, self.polled)  # fmt: skip
        for _number in range(exchanges):
            tid = PID + int(self.random.integers(threads))
            kinds[self.random.integers(len(kinds))](tid)

    def times(self, tid: int, count: int) -> list[int]:
        """The next moments of a thread, some of them equal to the one before."""
        steps = self.random.integers(0, 50, count)
        steps[0] += 50
        found = self._now.get(tid, tid * 7) + np.cumsum(steps)
        self._now[tid] = int(found[-1])
        return [int(moment) for moment in found]

    def fresh(self, tid: int) -> tuple[int, int]:
        """A sequence number and an sk_buff; the thread's next but one has its address again."""
        self._seq += 1
        return self._seq, 2 * tid + self._seq % 2

    def expect(self, channel: str, tid: int, start: int, **stages: int) -> None:
        assert (channel, tid, start) not in self.expected
        self.expected[channel, tid, start] = {name: ns for name, ns in stages.items() if ns}

    def who(self, tid: int) -> dict[str, int]:
        return {"tid": tid, "portid": tid}

    def echo(self, tid: int) -> None:
        """A request to msgchan that is answered."""
        (seq, skb), who = self.fresh(tid), self.who(tid)
        t = self.times(tid, 10)
        self.calls.send(t[0], t[1], t[5], seq, begin=t[2], done=t[3], queued=t[4], reply_skb=skb,
                        bits=S_MODULE | S_TRIED, channel=2, **who)  # fmt: skip
        self.calls.recv(t[6], (t[7], t[8]), t[9], skb, **who)
        self.expect("netlink", tid, t[0], send_entry=t[1] - t[0], deliver=t[2] - t[1],
                    handler=t[3] - t[2], reply=t[4] - t[3], queue=t[6] - t[4],
                    wake=t[7] - t[6], copy=t[8] - t[7], recv_exit=t[9] - t[8])  # fmt: skip

    def ack(self, tid: int) -> None:
        """A request to another kernel side, which answers with an error."""
        (seq, skb), who = self.fresh(tid), self.who(tid)
        t = self.times(tid, 10)
        self.calls.send(t[0], t[1], t[5], seq, begin=t[2], done=t[3], queued=t[4], reply_skb=skb,
                        bits=S_TRIED, proto=0, flags=4, reply_type=2, reply_error=-17,
                        **who)  # fmt: skip
        self.calls.recv(t[6], (t[7], t[8]), t[9], skb, proto=0, **who)
        self.expect("netlink", tid, t[0], send_entry=t[1] - t[0], deliver=t[2] - t[1],
                    handler=t[3] - t[2], reply=t[4] - t[3], queue=t[6] - t[4],
                    wake=t[7] - t[6], copy=t[8] - t[7], recv_exit=t[9] - t[8])  # fmt: skip

    def dump(self, tid: int) -> None:
        """A dump of two parts: the second is made in the call that reads the first."""
        (seq, first), who = self.fresh(tid), self.who(tid) | {"proto": 0}
        second = self.fresh(tid)[1]
        t = self.times(tid, 14)
        self.calls.send(t[0], t[1], t[4], seq, begin=t[2], queued=t[3], reply_skb=first,
                        bits=S_DUMP, flags=0x300, type=DUMP, **who)  # fmt: skip
        self.calls.extra("queued", t[8], t[9], source=BY_DUMP, bits=X_RECEIVING | X_LAST, seq=seq,
                         skb=second, type=3, **who)  # fmt: skip
        self.calls.recv(t[5], (t[6], t[7]), t[10], first, **who)
        self.calls.recv(t[11], (t[12], t[12]), t[13], second, **who)
        self.expect("netlink", tid, t[0], send_entry=t[1] - t[0], deliver=t[2] - t[1],
                    handler=t[3] - t[2] + (t[9] - t[8] if t[9] > t[7] else 0),
                    queue=t[5] - t[3] + t[11] - t[9], wake=t[6] - t[5] + t[12] - t[11],
                    copy=t[7] - t[6], recv_exit=t[8] - t[7] + t[13] - t[12]
                    if t[9] > t[7] else t[13] - t[12])  # fmt: skip

    def sink(self, tid: int) -> None:
        """A request to msgchan that gets no answer."""
        (seq, _skb), who = self.fresh(tid), self.who(tid)
        t = self.times(tid, 5)
        self.calls.send(t[0], t[1], t[4], seq, begin=t[2], done=t[3], bits=S_MODULE, channel=2,
                        **who)  # fmt: skip
        self.expect("netlink", tid, t[0], send_entry=t[1] - t[0], deliver=t[2] - t[1],
                    handler=t[3] - t[2], send_exit=t[4] - t[3])  # fmt: skip

    def several(self, tid: int) -> None:
        """Two sinks in one buffer; the second one's handler begins when the first one's is done."""
        (seq, _skb), who = self.fresh(tid), self.who(tid)
        other = self.fresh(tid)[0]
        t = self.times(tid, 6)
        self.calls.extra("message", t[1], seq=other, size=40, type=0x11, bits=X_SENDING, **who)
        self.calls.extra("handled", t[3], t[4], seq=other, token=9, channel=2, bits=X_SENDING,
                         **who)  # fmt: skip
        self.calls.send(t[0], t[1], t[5], seq, begin=t[2], done=t[3], channel=2,
                        bits=S_MODULE | S_SEVERAL, **who)  # fmt: skip
        self.expect("netlink", tid, t[0], handlers=t[4] - t[2])

    def got(self, tid: int) -> None:
        """An option that is read, by msgchan's own report or by the relay's."""
        module = O_MODULE * int(self.random.integers(2))
        t = self.times(tid, 8)
        self.calls.row(
            "opt_calls", "getsockopt", tid=tid, enter_ns=t[0], nf_ns=t[1], begin_ns=t[2],
            copy_ns=t[3], copied_ns=t[4], done_ns=t[5], left_ns=t[6], exit_ns=t[7], sock=0,
            optname=10129, size=24, copied=24, token=5 if module else 0, channel=1,
            bits=O_BEGUN * bool(module) | O_DONE * bool(module) | O_COPY | O_COPIED | O_LEFT
            | module,
        )  # fmt: skip
        begin = t[2] if module else t[1]
        stages = {"entry": begin - t[0], "handler": t[3] - begin, "copy": t[4] - t[3]}
        if t[4] == t[3] and not module:  # as of a breakpoint, which does not see the end
            self.expect("getsockopt", tid, t[0], entry=begin - t[0], handler=t[3] - begin)
        else:
            self.expect("getsockopt", tid, t[0], **stages, exit=t[7] - t[4])

    def set_(self, tid: int) -> None:
        """An option that is set."""
        t = self.times(tid, 6)
        self.calls.row(
            "opt_calls", "setsockopt", tid=tid, enter_ns=t[0], nf_ns=t[1], begin_ns=t[2],
            done_ns=t[3], left_ns=t[4], exit_ns=t[5], sock=0, optname=10129, size=24,
            bits=O_BEGUN | O_DONE | O_LEFT | O_MODULE,
        )  # fmt: skip
        self.expect(
            "setsockopt", tid, t[0], entry=t[2] - t[0], handler=t[3] - t[2], exit=t[5] - t[3]
        )

    def notified(self, tid: int) -> None:
        """A message that an interrupt on another CPU sends, while the thread does nothing."""
        self._notice(tid, self.times(tid, 6), {"tid": 0, "tgid": 0, "cpu": tid}, X_BYSTANDER)

    def interrupted(self, tid: int) -> None:
        """The same, but the interrupt comes while the thread sets an option."""
        t = self.times(tid, 12)
        self._notice(tid, [*t[3:5], *t[8:]], {"tid": tid}, 0, call=[*t[:3], *t[5:8]])

    def _notice(
        self, tid: int, t: list[int], by: dict[str, int], bits: int, call: list[int] | None = None
    ) -> None:
        skb = self.fresh(tid)[1]
        source = BY_UNICAST if self.random.integers(2) else BY_BROADCAST
        self.calls.extra("queued", t[0], t[1], source=source, skb=skb, proto=31, bits=bits,
                         portid=tid, **by)  # fmt: skip
        if call:
            self.calls.row(
                "opt_calls", "setsockopt", tid=tid, enter_ns=call[0], nf_ns=call[1],
                begin_ns=call[2], done_ns=call[3], left_ns=call[4], exit_ns=call[5], sock=0,
                optname=10129, size=24, bits=O_BEGUN | O_DONE | O_LEFT | O_MODULE,
            )  # fmt: skip
            self.expect("setsockopt", tid, call[0], entry=call[2] - call[0],
                        handler=call[3] - call[2], exit=call[5] - call[3])  # fmt: skip
        self.calls.recv(t[2], (t[3], t[4]), t[5], skb, proto=31, tid=tid, portid=tid)
        self.expect("notify", tid, t[0], reply=t[1] - t[0], queue=t[2] - t[1], wake=t[3] - t[2],
                    copy=t[4] - t[3], recv_exit=t[5] - t[4])  # fmt: skip

    def polled(self, tid: int) -> None:
        """A request that a kernel thread answers while the thread polls already for it."""
        (seq, skb), who = self.fresh(tid), self.who(tid)
        t = self.times(tid, 10)
        self.calls.send(t[0], t[1], t[3], seq, begin=t[2], bits=0, proto=0, type=DUMP, **who)
        self.calls.extra("queued", t[5], source=0, skb=skb, proto=0, bits=X_BYSTANDER, seq=seq,
                         tid=0, tgid=0, cpu=tid, portid=tid)  # fmt: skip
        self.calls.extra("poll", t[4], t[6], ret=1, proto=0, **who)
        self.calls.recv(t[6], (t[7], t[8]), t[9], skb, proto=0, **who)
        self.expect("netlink", tid, t[0], send_entry=t[1] - t[0], deliver=t[2] - t[1],
                    handler=t[5] - t[2], wake=t[7] - t[5], copy=t[8] - t[7],
                    recv_exit=t[9] - t[8])  # fmt: skip
