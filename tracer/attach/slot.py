# SPDX-License-Identifier: GPL-2.0-or-later
"""A traced thread's slot: ``struct thread`` of ``bpf/maps.c``, and the call that it tells of."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from tracer.event import EXTRA_RECORD, OPT_RECORD, RECORD_BYTES, SEND_RECORD

#: In ``ids``: no thread has the slot.
FREE = 2**64 - 1
#: The low half of ``ids`` is the thread's id, the high half that of its process.
TID = 0xFFFF_FFFF

POLLED = np.dtype(
    [("sk", "<u8"), ("portid", "<u4"), ("netns", "<u4"), ("proto", "<u2"), ("pad", "<u2", (3,))]
)
#: ``struct thread`` of bpf/maps.c.
THREAD_DTYPE = np.dtype(
    [
        ("ids", "<u8"),
        ("crowded", "<u4"),
        ("open", "u1"),
        ("reached", "u1"),
        ("fresh", "u1"),
        ("marked", "u1"),
        ("sk", "<u8"),
        ("skb", "<u8"),
        ("watched", "<u8"),
        ("portid", "<u4"),
        ("netns", "<u4"),
        ("closings", "<u8"),
        ("dump_ns", "<u8"),
        ("parts", "u1"),
        ("polls", "u1"),
        ("broadcasting", "u1"),
        ("pad", "u1", (5,)),
        ("record", f"V{RECORD_BYTES}"),
        ("part", EXTRA_RECORD),
        ("polled", POLLED, (4,)),
    ]
)

#: ``enum call``: the point of an open call before and after it reached the function where a
#: message or an option is handled.
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


def open_call(thread: np.void, options: Container[int]) -> OpenCall | None:
    """The call that a thread (a row of ``THREAD_DTYPE``) is inside of, None if it is in none.

    ``options`` are the numbers of msgchan's socket options.
    """
    points = _CALLS.get(int(thread["open"]))
    if points is None:
        return None
    point, proto, portid = points[bool(thread["reached"])], 0, 0
    record = thread["record"].tobytes()
    send = np.frombuffer(record, SEND_RECORD)[0]
    if point == "netlink_unicast" and send["dst"] == 0:
        proto, portid = int(send["proto"]), int(send["portid"])
    elif point in ("nf_setsockopt", "nf_getsockopt"):
        proto = int(int(np.frombuffer(record, OPT_RECORD)[0]["optname"]) in options)
    ids = int(thread["ids"])
    # Every record of a call begins with the time at which it was entered.
    return OpenCall(ids & TID, ids >> 32, point, int(send["enter_ns"]), proto, portid)
