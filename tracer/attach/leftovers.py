# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds and removes what killed recorders have left on this machine.

When a recorder is killed, the kernel frees its BPF programs, maps and links, and with them
their reference on the module. These remain:

- kretprobe events in tracefs. BCC defines one for each function, named
  ``r_FUNCTION_bcc_PID``, because only such an event can ask for a number of instances;
- processes in the list of the module's relay (`tracer.attach.relay`);
- the spool (`tracer.clients.spool`).

Nothing of a living recorder is removed: an event's name contains its recorder's process id
(and the kernel refuses to remove an event in use), and a living recorder locks its spool.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tracer.attach import relay
from tracer.attach.sites import FUNCTIONS
from tracer.clients import spool
from tracer.errors import TracerError

_FUNCTIONS = "|".join(function.name for function in FUNCTIONS)
_EVENT = re.compile(rf"^[pr]\d*:(kprobes/[pr]_(?:{_FUNCTIONS})_bcc_(\d+)) ", re.MULTILINE)


@dataclass(frozen=True)
class Leftovers:
    """Names of kprobe events, ids of processes in the relay's list, directories of spools."""

    events: list[str] = field(default_factory=list)
    relayed: set[int] = field(default_factory=set)
    spools: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        told = {
            "kprobe events": len(self.events),
            "processes in the relay's list": len(self.relayed),
            "spools": len(self.spools),
        }
        return ", ".join(f"{name}: {count}" for name, count in told.items() if count) or "none"


def find(tracefs: Path | None) -> Leftovers:
    """What dead recorders have left, as far as the caller may see it.

    ``tracefs`` is where that is mounted; with None no events are looked for.
    """
    listed = relay.listed()
    dead, marked = list(spool.abandoned()), set[int]()
    for path in dead:
        marked |= spool.relayed(path)
    wanted = set[int]().union(*(spool.relayed(path) for path in spool.in_use()))
    ended = {tgid for tgid in listed if not relay.running(tgid)}
    return Leftovers(_events(tracefs), ended | (listed & marked - wanted), dead)


def sweep(tracefs: Path | None) -> None:
    """Remove what :func:`find` finds. What cannot be removed stays, without an error."""
    if tracefs is not None:
        for name in _events(tracefs):
            with suppress(OSError):
                _remove_event(tracefs, name)
    marked = find(None).relayed
    if marked:
        with suppress(TracerError):
            relay.dismiss(marked)
    for path in spool.abandoned():
        spool.remove(path)


def _remove_event(tracefs: Path, name: str) -> None:
    # Python's open() does not do: mode "a" seeks to the end, which tracefs refuses, and
    # mode "w" truncates the file, which would remove all events.
    fd = os.open(tracefs / "kprobe_events", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, f"-:{name}\n".encode())
    finally:
        os.close(fd)


def _events(tracefs: Path | None) -> list[str]:
    """BCC's events on functions that this tracer probes, if their process has ended."""
    try:
        text = (tracefs / "kprobe_events").read_text() if tracefs else ""
    except OSError:
        return []
    return [name for name, pid in _EVENT.findall(text) if not relay.running(int(pid))]
