# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds, in ``/proc``, the open files that keep the module ``msgchan`` from being unloaded."""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracer.resources import source_dir

_PROC = Path("/proc")
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Holder:
    """An open file that keeps the module from being unloaded."""

    pid: int
    comm: str
    fd: int
    what: str  # "netlink protocol 30", "tracepoint reply_sent"

    def __str__(self) -> str:
        return f"{self.comm}[{self.pid}] (fd {self.fd}, {self.what})"


@dataclass(frozen=True)
class _NetlinkSocket:
    protocol: int
    portid: int
    inode: int


def holders(protocols: Container[int]) -> list[Holder]:
    """The open files that hold the loaded module, in every network namespace.

    They are sockets of its netlink ``protocols`` and BPF programs on its
    tracepoints. Only processes whose files this user may see are found.
    """
    sockets = {
        f"socket:[{row.inode}]": f"netlink protocol {row.protocol}"
        for row in _all_netlink_sockets()
        if row.protocol in protocols and row.portid != 0 and row.inode != 0
    }
    tracepoints = _tracepoints()
    found = []
    for pid, fd, target in _open_files():
        what = sockets.get(target)
        if what is None and target.startswith("anon_inode:bpf"):
            name = _probed_tracepoint(pid, fd)
            what = f"tracepoint {name}" if name in tracepoints else None
        if what is not None:
            comm = _read(_PROC / str(pid) / "comm") or "?"
            found.append(Holder(pid=pid, comm=comm, fd=fd, what=what))
    return found


def kernel_protocols() -> set[int]:
    """The netlink protocols that the kernel answers in this network namespace."""
    return {row.protocol for row in _netlink_sockets(_PROC) if row.portid == 0}


def _netlink_sockets(process: Path) -> list[_NetlinkSocket]:
    """The netlink sockets of a process's namespace: sk Eth Pid Groups ... Inode."""
    table = _read(process / "net" / "netlink") or ""
    rows = [line.split() for line in table.splitlines()[1:]]
    return [_NetlinkSocket(int(row[1]), int(row[2]), int(row[-1])) for row in rows if len(row) > 9]


def _all_netlink_sockets() -> list[_NetlinkSocket]:
    found = []
    seen = set()
    for pid in _pids():
        try:
            namespace = os.stat(_PROC / str(pid) / "ns" / "net").st_ino
        except OSError:
            continue
        if namespace not in seen:
            seen.add(namespace)
            found += _netlink_sockets(_PROC / str(pid))
    # A namespace made by `ip netns add` exists even if no process is in it.
    for path in sorted(Path("/run/netns").glob("*")):
        if path.stat().st_ino not in seen:
            found += _netlink_sockets_in(path)
    return found


def _netlink_sockets_in(namespace: Path) -> list[_NetlinkSocket]:
    """The netlink sockets of a namespace without a process.

    A new thread enters the namespace and reads them there, since ``setns`` moves only the
    calling thread.
    """
    found: list[_NetlinkSocket] = []

    def visit() -> None:
        with namespace.open() as file:
            if ctypes.CDLL(None).setns(file.fileno(), _CLONE_NEWNET) == 0:
                found.extend(_netlink_sockets(_PROC / "thread-self"))

    thread = threading.Thread(target=visit)
    thread.start()
    thread.join()
    return found


def _pids() -> list[int]:
    return sorted(int(path.name) for path in _PROC.iterdir() if path.name.isdigit())


def _open_files() -> Iterator[tuple[int, int, str]]:
    """(pid, fd, target) of every open file that the calling user may see."""
    for pid in _pids():
        try:
            names = os.listdir(_PROC / str(pid) / "fd")
        except OSError:
            continue  # another user's process, or one that has ended
        for name in names:
            try:
                yield pid, int(name), os.readlink(_PROC / str(pid) / "fd" / name)
            except OSError:
                continue  # closed meanwhile


def _tracepoints() -> set[str]:
    header = (source_dir("kmod") / "msgchan_trace.h").read_text()
    events = r"^(?:TRACE_EVENT(?:_FN)?\(|DEFINE_EVENT\(\w+, )(\w+),"
    return set(re.findall(events, header, re.MULTILINE))


def _probed_tracepoint(pid: int, fd: int) -> str | None:
    info = _read(_PROC / str(pid) / "fdinfo" / str(fd)) or ""
    match = re.search(r"^tp_name:\s*(\S+)", info, re.MULTILINE)
    return match.group(1) if match else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
