# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``/proc`` says of processes: which run, whose they are, and who started them."""

from __future__ import annotations

import os
from pathlib import Path


def running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended (a zombie has)."""
    return _parent(pid) is not None


def users(pid: int) -> set[int]:
    """The user ids of a process: real, effective, saved, of its files; none when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return set()
    (line,) = (line for line in status.splitlines() if line.startswith("Uid:"))
    return {int(uid) for uid in line.split()[1:]}


def descendants(pid: int) -> set[int]:
    """The running processes whose parent is ``pid``, or a descendant of it.

    The calling process and its own children are left out: whoever records does not
    mean the recorder.
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
