# SPDX-License-Identifier: GPL-2.0-or-later
"""A process's network namespace and bound netlink sockets, read from ``/proc``."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class BoundSocket(NamedTuple):
    """A netlink socket of a process.

    ``netns`` is the namespace, ``proto`` the protocol, ``fd`` the process's descriptor of it.
    """

    netns: int
    proto: int
    portid: int
    fd: int


def netns_of(pid: int | str = "self") -> int:
    """The network namespace of a process: the inode number of ``/proc/PID/ns/net``.

    Raises ``OSError`` when there is no such process.
    """
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def bound_netlink_sockets(pid: int) -> Iterator[BoundSocket]:
    """Every netlink socket that process ``pid`` holds.

    Only sockets of the namespace that the process is in now are found, because
    ``/proc/PID/net`` shows that one. A socket that it made before it changed its namespace
    is missed. Yields nothing if the process has ended or may not be looked at.
    """
    descriptors = dict(_socket_inodes(pid))
    try:
        netns = netns_of(pid)
        lines = Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        # sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (net/netlink/af_netlink.c)
        fields = line.split()
        if int(fields[9]) in descriptors:
            yield BoundSocket(netns, int(fields[1]), int(fields[2]), descriptors[int(fields[9])])


def _socket_inodes(pid: int) -> Iterator[tuple[int, int]]:
    """The inode number of each socket of the process, and its descriptor there."""
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
            yield int(target[8:-1]), int(name)


def descriptor_of(pid: int, fd: int) -> int:
    """A descriptor in this process of what ``fd`` is in process ``pid`` (pidfd_getfd(2)).

    Raises ``OSError`` if the process has ended, has closed it, or may not be looked at.
    """
    process = os.pidfd_open(pid)
    try:
        # The system call's number is 438 on every architecture; Python has no wrapper for it.
        found = ctypes.CDLL(None, use_errno=True).syscall(438, process, fd, 0)
        if found < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return int(found)
    finally:
        os.close(process)
