# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer.load``: a recording as pandas frames."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, latest, take
from tracer.correlate.exchanges import Correlation, correlate
from tracer.ledger import balance
from tracer.recording import Recording, open_recording

if TYPE_CHECKING:
    from tracer.plot import Plots


class Run:
    """One recording. The frames are computed when they are first asked for.

    Needs neither root nor BCC nor Linux.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def path(self) -> Path:
        """The recording's directory."""
        return self._recording.path

    @property
    def meta(self) -> dict[str, Any]:
        """``meta.json``: machine, plan, command, witnesses."""
        return self._recording.meta

    @property
    def damage(self) -> list[str]:
        """What could not be read, a line each; empty for a complete recording."""
        return self._recording.damage

    @property
    def sends(self) -> pd.DataFrame:
        """The user side's log.

        begin_ns, end_ns, intended_ns (ns, CLOCK_MONOTONIC; intended 0: unscheduled), tid,
        tgid, portid, seq, size (bytes), token, type, errno, channel (0 netlink,
        1 setsockopt, 2 getsockopt, 3 notify), kind (0 send, 1 receive, 2 call), proto.
        """
        return self._recording.sends

    @property
    def tasks(self) -> pd.DataFrame:
        """Threads and their names: start_ns (when it was read), tid, tgid, ppid, netns, comm."""
        return self._recording.tasks

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row per observation, in the order of the ring.

        start_ns, end_ns (ns), point (the kernel's name), kind (1 span, 2 further message),
        depth (enclosing calls), cpu, tid, tgid, comm, netns, sock and skb (small ids,
        -1: none), token, proto, portid, seq, type (nlmsg_type or option), flags,
        size (bytes), ret, direction (netlink_unicast: 1 to the kernel, 2 to user space,
        3 to a peer).
        """
        events = self._recording.events
        return events.assign(comm=self._comm(events))

    @cached_property
    def _correlation(self) -> Correlation:
        recording = self._recording
        return correlate(recording.events, recording.sends, recording.tasks, recording.meta)

    @property
    def exchanges(self) -> pd.DataFrame:
        """One row per exchange, by start; see docs/frames.md for the columns (times in ns)."""
        return self._correlation.exchanges

    @property
    def stages(self) -> pd.DataFrame:
        """The same, long: exchange (row of ``exchanges``), stage, occurrence, start_ns, dur_ns."""
        return self._correlation.stages

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """The balance: line, witness, count, against, other, difference, ok, note."""
        recording = self._recording
        return balance(
            recording.meta,
            recording.events,
            recording.sends,
            recording.tasks,
            self._correlation,
            recording.damage,
        )

    @property
    def trusted(self) -> bool:
        """Whether every line of the ledger balances."""
        return bool(self.ledger["ok"].all())

    @property
    def plot(self) -> Plots:
        """Its figures: ``run.plot.waterfall()``, ``.distribution()`` and others."""
        from tracer.plot import Plots  # late: matplotlib takes half a second to import

        return Plots(self)

    def _comm(self, events: pd.DataFrame) -> pd.Categorical:
        tasks = self._recording.tasks
        known = tasks["tid"].to_numpy().astype(np.int64)
        found = latest(
            events["tid"].to_numpy().astype(np.int64),
            events["start_ns"].to_numpy(),
            known,
            tasks["start_ns"].to_numpy(),
        )
        row = take(np.arange(known.size), found)
        return pd.Categorical(
            np.append(tasks["comm"].to_numpy(object), "")[np.where(row == NONE, known.size, row)]
        )

    def _repr_html_(self) -> str:
        from tracer.report.html import summary

        return summary(self)

    def __repr__(self) -> str:
        return f"<Run {self.path}: {len(self._recording.events)} events>"


def load(path: str | os.PathLike[str]) -> Run:
    """Open the recording in directory ``path``.

    Raises :class:`tracer.errors.TracerError` for what is no readable recording.
    """
    return Run(open_recording(path))
