# SPDX-License-Identifier: GPL-2.0-or-later
"""How traced threads ended, and which calls they were still inside of when tracing stopped.

A recording may lack the last call of such a thread. The ledger allows for exactly that
(:mod:`tracer.frames.slack`), so the recorder writes these facts to ``meta.json``.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

#: The bit in a thread's key that says that a thread has the slot (``OWNED`` in bpf/maps.c).
_OWNED = 1 << 31
#: ``enum call`` of bpf/maps.c: the points of a call before and after it reached the function where
#: a message or an option is handled.
_CALLS = {
    1: ("netlink_sendmsg", "netlink_unicast"),
    2: ("netlink_recvmsg", "netlink_recvmsg"),
    3: ("setsockopt", "nf_setsockopt"),
    4: ("getsockopt", "nf_getsockopt"),
    5: ("poll", "poll"),
}


@dataclass(frozen=True)
class OpenCall:
    """A call that had begun (at ``start_ns``) and not returned when tracing stopped.

    ``point`` says how far it had come: a send to ``netlink_sendmsg`` or ``netlink_unicast``, a
    socket option to ``setsockopt`` or ``nf_setsockopt``. ``proto`` and ``portid`` are set when a
    netlink message was being sent to the kernel; at ``nf_setsockopt`` and ``nf_getsockopt``,
    ``proto`` is 1 if the option is one of msgchan's. Otherwise they are 0.
    """

    tid: int
    tgid: int
    point: str
    start_ns: int
    proto: int
    portid: int


@dataclass(frozen=True)
class Stopped:
    """The traced threads that were still there when tracing stopped, and their open calls."""

    threads: list[int]
    calls: list[OpenCall]


@dataclass(frozen=True)
class Ending:
    """When a traced thread ended (ns), and the signal that killed it, 0 for none."""

    ended_ns: int
    signal: int


def open_calls(thread: Any, options: Container[int]) -> list[OpenCall]:
    """The call that a ``struct thread`` (bpf/maps.c) is inside of; none if it is in none.

    ``options`` are the numbers of msgchan's socket options.
    """
    if thread.open not in _CALLS:
        return []
    point = _CALLS[thread.open][bool(thread.reached)]
    proto = portid = 0
    if point == "netlink_unicast" and thread.send.dst == 0:
        proto, portid = thread.send.proto, thread.send.portid
    elif point in ("nf_setsockopt", "nf_getsockopt"):
        proto = int(thread.opt.optname in options)
    # Every record of a call begins with the time at which it was entered.
    start_ns = thread.words[0]
    return [OpenCall(thread.key & ~_OWNED, thread.tgid, point, start_ns, proto, portid)]
