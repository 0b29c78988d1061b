# SPDX-License-Identifier: GPL-2.0-or-later
"""A process's network namespace and bound netlink sockets, read from ``/proc``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def netns_of(pid: int | str = "self") -> int:
    """The network namespace of a process: the inode number of ``/proc/PID/ns/net``.

    Raises ``OSError`` when there is no such process.
    """
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def bound_netlink_sockets(pid: int) -> Iterator[tuple[int, int, int]]:
    """(network namespace, protocol, port id) of every netlink socket that process ``pid`` holds.

    Only sockets of the namespace that the process is in now are found, because
    ``/proc/PID/net`` shows that one. A socket that it made before it changed its namespace
    is missed. Yields nothing if the process has ended or may not be looked at.
    """
    inodes = set(_socket_inodes(pid))
    try:
        netns = netns_of(pid)
        lines = Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        # sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (net/netlink/af_netlink.c)
        fields = line.split()
        if int(fields[9]) in inodes:
            yield netns, int(fields[1]), int(fields[2])


def _socket_inodes(pid: int) -> Iterator[int]:
    directory = Path(f"/proc/{pid}/fd")
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(directory / name)
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])
