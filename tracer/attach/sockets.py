# SPDX-License-Identifier: GPL-2.0-or-later
"""Netlink sockets that a process bound before anybody traced it, from ``/proc``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def bound_netlink_sockets(pid: int) -> Iterator[tuple[int, int]]:
    """(protocol, port id) of every netlink socket that process ``pid`` holds.

    Sockets of another network namespace than the process's own are not found:
    ``/proc/PID/net`` shows one namespace.
    """
    inodes = set(_socket_inodes(pid))
    try:
        lines = Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        # sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (net/netlink/af_netlink.c)
        fields = line.split()
        if int(fields[9]) in inodes:
            yield int(fields[1]), int(fields[2])


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
