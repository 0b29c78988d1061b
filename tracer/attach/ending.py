# SPDX-License-Identifier: GPL-2.0-or-later
"""How traced threads ended, and which calls they were still inside of when tracing stopped.

A recording may lack the last call of such a thread. The ledger allows for exactly that
(:mod:`tracer.frames.slack`), so the recorder writes these facts to ``meta.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracer.event import POINTS, TO_KERNEL


@dataclass(frozen=True)
class OpenCall:
    """A call that had begun (at ``start_ns``) and not returned when tracing stopped.

    ``proto`` and ``portid`` are set when a netlink message was being sent to the kernel, and 0
    at other points; at ``msgchan_handler``, ``proto`` is the number of the module's channel.
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
    """The open calls on the stack of a ``struct thread`` (bpf/maps.c), outermost first."""
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
