# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts about processes from ``/proc``: whether they run, users, descendants, names of threads."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def running(pid: int) -> bool:
    """Whether the process exists and has not ended; a zombie counts as ended."""
    return _parent(pid) is not None


def users(pid: int) -> set[int]:
    """The real, effective, saved and file system user id of a process; empty if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return set()
    (line,) = (line for line in status.splitlines() if line.startswith("Uid:"))
    return {int(uid) for uid in line.split()[1:]}


def thread_names(pid: int) -> dict[int, str]:
    """The name of each thread of a process, by thread id; empty if the process is gone.

    Bytes that are no UTF-8 are replaced.
    """
    found = {}
    with suppress(OSError):
        for tid in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                text = Path(f"/proc/{pid}/task/{tid}/comm").read_text(errors="replace")
                found[int(tid)] = text.removesuffix("\n")
    return found


def parent_of(pid: int) -> int:
    """The parent's process id; 0 when the process has ended, and where there is none."""
    return _parent(pid) or 0


def descendants(pid: int) -> set[int]:
    """The running processes whose parent is ``pid``, or a descendant of it.

    The calling process and its descendants are left out: when a shell is recorded, the
    recorder itself may be its child, and is not meant.
    """
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        parent = _parent(int(name)) if name.isdigit() else None
        if parent is not None and int(name) != os.getpid():
            children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    ancestors = [pid]
    while ancestors:
        began = children.get(ancestors.pop(), [])
        found.update(began)
        ancestors += began
    return found


def _parent(pid: int) -> int | None:
    """The parent's process id; None when the process has ended."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # pid (comm) state ppid ...; a comm may hold blanks and parentheses.
    state, parent = line.rpartition(")")[2].split()[:2]
    return None if state in "ZX" else int(parent)
