# SPDX-License-Identifier: GPL-2.0-or-later
"""Readable names for netlink protocols, message types and socket options."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracer.correlate.columns import NONE, Ints

#: The netlink protocols (``NETLINK_*``) of include/uapi/linux/netlink.h.
PROTOCOLS = {
    0: "route",
    2: "usersock",
    4: "sock_diag",
    5: "nflog",
    6: "xfrm",
    7: "selinux",
    8: "iscsi",
    9: "audit",
    10: "fib_lookup",
    11: "connector",
    12: "netfilter",
    15: "kobject_uevent",
    16: "generic",
    18: "scsitransport",
    19: "ecryptfs",
    20: "rdma",
    21: "crypto",
    22: "smc",
}
_OPERATIONS = ("echo", "sink", "source", "stats", "ports")
_REQUEST, _REPLY = 0x10, 0x20
_MSGCHAN = {0: "text", 30: "text reply"}
_MSGCHAN |= {_REQUEST + op: name for op, name in enumerate(_OPERATIONS)}
_MSGCHAN |= {_REPLY + op: f"{name} reply" for op, name in enumerate(_OPERATIONS)}
_ICMP = {0: "register", 1: "icmp", 2: "close"}
_CONTROL = {1: "noop", 2: "error", 3: "done", 4: "overrun"}
_SOCKOPT = {0: "text", 1: "request"}


def netlink_names(
    proto: Ints, msg_type: Ints, netlink_proto: int, icmp_proto: int
) -> npt.NDArray[np.object_]:
    """The name of each message, made of protocol and type: ``msgchan echo``, ``route 18``, ….

    The type NONE is left out.
    """
    names = {}
    for p, t in set(zip(proto.tolist(), msg_type.tolist(), strict=True)):
        if p == netlink_proto and t in _MSGCHAN:
            names[p, t] = f"msgchan {_MSGCHAN[t]}"
        elif p == icmp_proto and t in _ICMP:
            names[p, t] = f"msgchan {_ICMP[t]}"
        elif t == NONE:
            names[p, t] = PROTOCOLS.get(p, f"netlink {p}")
        else:
            names[p, t] = f"{PROTOCOLS.get(p, f'netlink {p}')} {_CONTROL.get(t, t)}"
    return _object([names[pair] for pair in zip(proto.tolist(), msg_type.tolist(), strict=True)])


def sockopt_names(optname: Ints, base: int) -> npt.NDArray[np.object_]:
    """The name of each option: ``msgchan text``, ``msgchan request``, or ``option N``."""
    words = {
        word: f"msgchan {_SOCKOPT[word - base]}" if word - base in _SOCKOPT else f"option {word}"
        for word in set(optname.tolist())
    }
    return _object([words[word] for word in optname.tolist()])


def _object(values: list[str]) -> npt.NDArray[np.object_]:
    array = np.empty(len(values), object)
    array[:] = values
    return array
