# SPDX-License-Identifier: GPL-2.0-or-later
"""How traced threads ended, and which were still inside a call when tracing did.

What a recording may lack at its end, and no more than that, the ledger allows for
(:mod:`tracer.frames.slack`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracer.event import POINTS, TO_KERNEL


@dataclass(frozen=True)
class OpenCall:
    """A call that a thread was inside of when tracing stopped, since ``start_ns``.

    ``proto`` and ``portid`` are those of a netlink message that goes to the kernel, 0
    otherwise; at ``msgchan_handler`` proto is the module's channel.
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


def open_calls(thread: Any) -> list[OpenCall]:
    """The stack of ``struct thread`` in bpf/maps.c, outermost call first."""
    calls = []
    for frame in thread.frames[: min(thread.depth, len(thread.frames))]:
        point = POINTS[frame.point]
        request = point == "netlink_unicast" and frame.direction == TO_KERNEL
        handler = point == "msgchan_handler"
        calls.append(
            OpenCall(
                thread.tid,
                thread.tgid,
                point,
                frame.start_ns,
                frame.proto if request or handler else 0,
                frame.id & 0xFFFF_FFFF if request else 0,
            )
        )
    return calls
