# SPDX-License-Identifier: GPL-2.0-or-later
"""The facts about a recording that stand at the head of its report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tracer.units import printable

if TYPE_CHECKING:
    from tracer.frames.frames import Frames


def duration_ns(run: Frames) -> int:
    """The time from the first to the last event or log entry, ns; 0 for an empty run."""
    begins, ends = [], []
    for frame, begin in ((run.events, "start_ns"), (run.sends, "begin_ns")):
        if len(frame):
            begins.append(int(frame[begin].min()))
            ends.append(int(frame["end_ns"].max()))
    return max(ends) - min(begins) if begins else 0


def facts(run: Frames) -> dict[str, str]:
    """Names and values for the head of a report: recording, command, host, started and so on."""
    meta = run.meta
    clock = meta.get("clock") or {}
    counted = ", counts instructions" if clock.get("deterministic") else ""
    module = meta.get("module") or {}
    build = str(module.get("build_id") or module.get("srcversion") or "?")[:12]
    told = {
        "recording": str(run.path),
        "command": shlex.join(meta.get("command") or []),
        "host": str(meta.get("host", "?")),
        "started": str(meta.get("started", "?")),
        "kernel": f"{meta.get('kernel', '?')} {meta.get('machine', '')}".strip(),
        "module": f"msgchan, build {build}" if module else "none",
        "clock": f"{clock.get('name', '?')} from {clock.get('source', '?')}{counted}",
        "duration": f"{duration_ns(run) / 1e9:,.3f} s",
        "rows": f"{len(run.events):,} events, {len(run.sends):,} sends, "
        f"{len(run.exchanges):,} exchanges",
        "tracer": str(meta.get("tracer", "?")),
    }
    return {name: printable(value) for name, value in told.items()}
