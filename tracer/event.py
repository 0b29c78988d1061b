# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire format of the ring as numpy types: the same as ``bpf/event.h``.

A unit test compiles the header and compares every offset and size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TO_KERNEL, TO_USER, TO_PEER = 1, 2, 3
KIND_SPAN, KIND_MESSAGE, KIND_TASK = 1, 2, 3

#: The names of the points, indexed by ``enum tracer_point``; 0 stands for task records. A point
#: that is observed at a single kernel function mostly has that function's name.
POINTS = (
    "task",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "write",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "read",
    "setsockopt",
    "getsockopt",
    "poll",
    "netlink_unicast",
    "netlink_broadcast",
    "__netlink_sendskb",
    "netlink_rcv_skb",
    "netlink_dump",
    "netlink_overrun",
    "nf_setsockopt",
    "nf_getsockopt",
    "skb_copy_datagram_iter",
    "copy_to_user",
    "msgchan_handler",
    "msgchan_copy",
)
CODE = {name: code for code, name in enumerate(POINTS)}

SENDS = ("sendto", "sendmsg", "sendmmsg", "write")
RECEIVES = ("recvfrom", "recvmsg", "recvmmsg", "read")
#: Points of netlink: their records have an sk_buff in ``buf`` (or 0), and in ``id`` a port id and
#: sequence number.
NETLINK = (
    "netlink_unicast",
    "netlink_broadcast",
    "__netlink_sendskb",
    "netlink_rcv_skb",
    "netlink_dump",
    "netlink_overrun",
    "skb_copy_datagram_iter",
    "poll",
)
SOCKOPT = ("nf_setsockopt", "nf_getsockopt")
MODULE = ("msgchan_handler", "msgchan_copy")

#: ``struct tracer_event``. ``portid`` and ``seq`` stand for its union: at points of socket options
#: they are the low and the high half of the sock's address.
EVENT_DTYPE = np.dtype(
    [
        ("start_ns", "<u8"),
        ("end_ns", "<u8"),
        ("buf", "<u8"),
        ("portid", "<u4"),
        ("seq", "<u4"),
        ("tid", "<u4"),
        ("tgid", "<u4"),
        ("netns", "<u4"),
        ("size", "<u4"),
        ("ret", "<i4"),
        ("type", "<u2"),
        ("flags", "<u2"),
        ("cpu", "<u2"),
        ("kind", "u1"),
        ("point", "u1"),
        ("depth", "u1"),
        ("proto", "u1"),
        ("direction", "<u2"),
    ]
)

#: ``struct tracer_task``: the same 64 bytes in a task record.
TASK_DTYPE = np.dtype(
    [
        ("start_ns", "<u8"),
        ("comm", "S16"),
        ("reserved0", "<u8"),
        ("tid", "<u4"),
        ("tgid", "<u4"),
        ("netns", "<u4"),
        ("ppid", "<u4"),
        ("reserved1", "<u8"),
        ("cpu", "<u2"),
        ("kind", "u1"),
        ("point", "u1"),
        ("depth", "u1"),
        ("proto", "u1"),
        ("reserved2", "<u2"),
    ]
)


@dataclass
class NotUnderstood:
    """Records that were left out because their size, kind or point is unknown.

    ``count`` says how many, ``first`` describes the first one.
    """

    count: int = 0
    first: str = ""

    def add(self, count: int, first: str) -> None:
        """Count more of them; ``first`` describes the first of these."""
        self.first = self.first or first
        self.count += count
