# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording in which every channel and every kind of record occurs, made by hand.

Its numbers of calls are different primes or so, which tells them apart in the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from run_builder import (
    COUNTERS,
    NETNS,
    PID,
    PORT,
    Records,
    address,
    echoes,
    entries,
    records_of,
    socket,
    task,
    times,
    user_socket,
    write,
)

from tracer.event import (
    BY_DUMP,
    BY_UNICAST,
    EXTRA,
    O_BEGUN,
    O_COPIED,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    OPT,
    R_COPIED,
    R_COPY,
    RECV,
    S_BEGUN,
    S_DONE,
    S_DUMP,
    S_MODULE,
    S_QUEUED,
    S_SEVERAL,
    S_TRIED,
    SEND,
    X_BYSTANDER,
    X_LAST,
    X_RECEIVING,
    X_SENDING,
)
from tracer.recording.witnesses import MODULE_CHANNELS

ECHOES, SETS, GETS, NOTICES = 11, 5, 7, 6
#: The threads of the program: echoes, a buffer of two messages and an ack, options, notifications.
ECHO, BUFFER, OPTIONS, LISTENER = PID, 101, 102, 103
#: A process that keeps no log: a dump, and a socket option that is not msgchan's.
DUMPER = 104
ICMP = 31
_HANDLED = S_BEGUN | S_DONE | S_MODULE
_READ = R_COPY | R_COPIED
#: When the threads begin, ns.
_START = {BUFFER: 10**9, OPTIONS: 2 * 10**9, LISTENER: 3 * 10**9, DUMPER: 4 * 10**9}

Part = tuple[list[Records], list[pd.DataFrame]]


def record_all(directory: Path) -> Path:
    """Write the recording."""
    records: list[Records] = [task(comm="program"), task(DUMPER, DUMPER, "dumper")]
    log: list[pd.DataFrame] = []
    parts = [_echoes(), _buffer(), _ack(), _options(), _listener(), (_dump(), [])]
    for made, entries_ in parts:
        records += made
        log += entries_
    before, after = reading(False), reading(True)
    stats = {"before": before, "after": after | {"stopping": after["late"]}}
    return write(directory, records, pd.concat(log), stats=stats)


def reading(over: bool) -> dict[str, Any]:
    """The module's counters, and the probes', before the recording or when it was ``over``."""
    idle = dict.fromkeys(COUNTERS, 0)
    if not over:
        told: dict[str, dict[str, int]] = {name: idle for name in MODULE_CHANNELS}
        ports = {str(port): idle for port in (PORT, BUFFER)}
    else:
        one = _counters(ECHOES, ECHOES, 64 * ECHOES)
        two = _counters(3, 3, 64 + 48 + 64)
        told = {
            "setsockopt": _counters(SETS, 0, 0),
            "getsockopt": _counters(GETS, GETS, 0),
            "netlink": {name: one[name] + two[name] for name in COUNTERS},
            "icmp": _counters(1, NOTICES, 0),
        }
        ports = {str(PORT): one, str(BUFFER): two}
    seen = {
        name: dict.fromkeys(("foreign", "replies", "foreign_replies"), 0)
        for name in MODULE_CHANNELS
    }
    if over:
        seen["icmp"] = seen["icmp"] | {"replies": NOTICES}
    return {"early": seen, "counters": told, "ports": ports, "late": seen}


def _counters(requests: int, replies: int, size: int) -> dict[str, int]:
    made = {"requests": requests, "told": requests, "replies": replies, "request_bytes": size}
    return dict.fromkeys(COUNTERS, 0) | made


def _echoes() -> Part:
    records, log = echoes(times(np.random.default_rng(11), ECHOES))
    return records[1:], [log]


def _span(start: Any, *names: str) -> dict[str, Any]:
    """Times 100 ns apart, by name."""
    return {name: start + 100 * number for number, name in enumerate(names)}


def _buffer() -> Part:
    """Two messages in one buffer; each has a record of its answer."""
    now, who = _START[BUFFER], {"tid": BUFFER, **socket(BUFFER)}
    edges = _span(now, "enter_ns", "unicast_ns", "begin_ns", "done_ns")
    send = records_of(
        SEND, "send", **who, **edges, exit_ns=now + 1000, seq=1, token=71, type=0x10, size=64,
        buffer=112, ret=112, channel=2, bits=_HANDLED | S_TRIED | S_SEVERAL,
    )  # fmt: skip
    further = records_of(
        EXTRA, "message", **who, start_ns=now + 100, end_ns=now + 100, seq=2, type=0x10, size=48,
        bits=X_SENDING,
    )  # fmt: skip
    handled = records_of(
        EXTRA, "handled", **who, start_ns=now + 600, end_ns=now + 700, skb=72, seq=2, type=0x10,
        channel=2, bits=X_SENDING,
    )  # fmt: skip
    queued = records_of(
        EXTRA, "queued", **who, start_ns=now + np.array([350, 750]),
        end_ns=now + np.array([400, 800]), skb=address([1001, 1002]), seq=[1, 2], size=32,
        type=0x20, source=BY_UNICAST, bits=X_SENDING,
    )  # fmt: skip
    asked = now + np.array([2000, 4000])
    names = ("enter_ns", "copy_ns", "copied_ns", "exit_ns")
    reads = records_of(
        RECV, "recv", **who, **_span(asked, *names), skb=address([1001, 1002]), size=32, ret=32,
        bits=_READ,
    )  # fmt: skip
    user = {"tid": BUFFER, **user_socket(BUFFER)}
    begin = [now - 100] * 2
    sent = entries(
        0, begin, now + 1100, **user, seq=[1, 2], token=[71, 72], size=[64, 48], type=0x10
    )
    got = entries(1, asked - 100, asked + 400, **user, seq=[1, 2], size=32)
    return [further, handled, queued, send, reads], [sent, got]


def _ack() -> Part:
    """A sink with NLM_F_ACK."""
    now, who = _START[BUFFER] + 10_000, {"tid": BUFFER, **socket(BUFFER)}
    names = ("enter_ns", "unicast_ns", "begin_ns", "done_ns", "queued_ns", "exit_ns")
    send = records_of(
        SEND, "send", **who, **_span(now, *names), reply_skb=address(1003), seq=3, token=73,
        type=0x11, flags=5, size=64, buffer=64, ret=64, reply_type=2, reply_size=36, channel=2,
        bits=_HANDLED | S_TRIED | S_QUEUED,
    )  # fmt: skip
    read = records_of(
        RECV, "recv", **who, **_span(now + 1000, "enter_ns", "copy_ns", "copied_ns", "exit_ns"),
        skb=address(1003), size=36, ret=36, bits=_READ,
    )  # fmt: skip
    user = {"tid": BUFFER, **user_socket(BUFFER), "seq": 3}
    sent = entries(0, now - 100, now + 600, **user, token=73, size=64, type=0x11)
    got = entries(1, now + 900, now + 1400, **user, size=36)
    return [send, read], [sent, got]


def _options() -> Part:
    """Socket options of msgchan, set and got in turn."""
    names = ("enter_ns", "nf_ns", "begin_ns", "done_ns", "copy_ns", "copied_ns", "left_ns",
             "exit_ns")  # fmt: skip
    who = {"tid": OPTIONS, "netns": NETNS, "sock": address(500), "optname": 10129, "pf": 2}
    records, log = [], []
    for point, count, channel, first in (("setsockopt", SETS, 0, 0), ("getsockopt", GETS, 1, 50)):
        now = _START[OPTIONS] + 10_000 * (first + np.arange(count))
        token = 100 + first + np.arange(count)
        bits = O_BEGUN | O_DONE | O_MODULE | O_LEFT | (O_COPY | O_COPIED) * channel
        call = {"token": token, "channel": channel, "size": 96, "bits": bits}
        copied = {"copied": 96} if channel else {}
        records.append(records_of(OPT, point, **who, **_span(now, *names), **call, **copied))
        user = {"tid": OPTIONS, "token": token, "size": 96, "type": 10129}
        log.append(entries(2, now - 100, now + 800, **user, channel=channel + 1))
    return records, log


def _listener() -> Part:
    """A registration, and notifications that a softirq sent; the reader polls for the first."""
    now, who = _START[LISTENER], {"tid": LISTENER, **socket(LISTENER, ICMP)}
    edges = _span(now, "enter_ns", "unicast_ns", "begin_ns", "done_ns", "exit_ns")
    send = records_of(
        SEND, "send", **who, **edges, seq=1, size=16, buffer=16, ret=16, channel=3, bits=_HANDLED
    )
    lying = now + 10_000 * (1 + np.arange(NOTICES))
    skb = address(2000 + np.arange(NOTICES))
    poll = records_of(EXTRA, "poll", **who, start_ns=now + 5000, end_ns=lying[0] + 50, ret=1)
    queued = records_of(
        EXTRA, "queued", **who | {"tid": 0, "tgid": 0}, start_ns=lying - 50, end_ns=lying, skb=skb,
        size=24, type=1, source=BY_UNICAST, bits=X_BYSTANDER,
    )  # fmt: skip
    reads = records_of(
        RECV, "recv", **who, **_span(lying + 100, "enter_ns", "copy_ns", "copied_ns", "exit_ns"),
        skb=skb, size=24, ret=24, bits=_READ,
    )  # fmt: skip
    user = {"tid": LISTENER, **user_socket(LISTENER, ICMP)}
    sent = entries(0, now - 100, now + 500, **user, seq=1, size=16)
    got = entries(1, lying + 50, lying + 600, **user, size=24, type=1, channel=3)
    return [send, queued, poll, reads], [sent, got]


def _dump() -> list[Records]:
    """A dump of two parts, and a getsockopt with two copies to user space."""
    now = _START[DUMPER]
    who = {"tid": DUMPER, "tgid": DUMPER}
    here = who | socket(DUMPER, 0)
    edges = _span(now, "enter_ns", "unicast_ns", "begin_ns", "queued_ns", "exit_ns")
    send = records_of(
        SEND, "send", **here, **edges, reply_skb=address(3001), seq=9, type=18, flags=0x301,
        size=40, buffer=40, ret=40, reply_type=16, reply_flags=2, reply_size=3000,
        bits=S_BEGUN | S_QUEUED | S_DUMP,
    )  # fmt: skip
    asked = now + np.array([1000, 2000])
    names = ("enter_ns", "copy_ns", "copied_ns", "exit_ns")
    last = records_of(
        EXTRA, "queued", **here, start_ns=now + 1250, end_ns=now + 1280, skb=address(3002), seq=9,
        size=20, type=3, flags=2, source=BY_DUMP, bits=X_RECEIVING | X_LAST,
    )  # fmt: skip
    reads = records_of(
        RECV, "recv", **here, **_span(asked, *names), skb=address([3001, 3002]), size=[3000, 20],
        ret=[3000, 20], bits=_READ,
    )  # fmt: skip
    later = _span(now + 9000, "enter_ns", "nf_ns", "copy_ns", "copied_ns")
    get = records_of(
        OPT, "getsockopt", **who, **later, netns=NETNS, sock=address(501), optname=64, size=84,
        left_ns=now + 9800, exit_ns=now + 9900, copied=44, bits=O_COPY | O_COPIED | O_LEFT,
    )  # fmt: skip
    copy = records_of(
        EXTRA, "copy", **who, netns=NETNS, start_ns=now + 9400, end_ns=now + 9500, size=40
    )
    return [send, last, reads, copy, get]
