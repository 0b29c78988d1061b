# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer.load`` and ``Run``: a recording as pandas frames, with figures and a summary page."""

from __future__ import annotations

import glob
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tracer.compare.order import started_at
from tracer.errors import TracerError
from tracer.frames.frames import Frames
from tracer.recording import open_recording

if TYPE_CHECKING:
    from pathlib import Path

    from tracer.plot import Plots

_EVER = datetime.min.replace(tzinfo=UTC)


class Run(Frames):
    """One recording: its frames, and ``plot``, which draws them.

    It needs neither root nor BCC nor Linux. Frames are computed when they are first used.
    """

    @property
    def plot(self) -> Plots:
        """The figures of this run: ``run.plot.waterfall()``, ``.distribution()`` and others."""
        from tracer.plot import Plots  # late: matplotlib takes half a second to import

        return Plots(self)

    def _repr_html_(self) -> str:
        from tracer.report.html import summary

        return summary(self)

    def __repr__(self) -> str:
        return f"<Run {self.path}: {len(self.events)} events>"


def load(path: str | os.PathLike[str]) -> Run:
    """Open the recording in directory ``path``.

    Raises :class:`tracer.errors.TracerError` if it is no recording or cannot be read.
    """
    return Run(open_recording(path))


def load_runs(pattern: str | Path) -> list[Run]:
    """Open every recording whose directory matches ``pattern``, in the order of recording.

    ``pattern`` is a shell pattern such as ``runs/base-*``. Recordings that do not say when they
    began come first. Raises :class:`tracer.errors.TracerError` if nothing matches, or a
    directory is no recording or cannot be read.
    """
    found = sorted(glob.glob(os.fspath(pattern)))
    if not found:
        raise TracerError(
            f"cannot load {pattern}", "no recording matches", "give a pattern such as 'runs/base-*'"
        )
    return sorted(
        (load(path) for path in found),
        key=lambda run: (started_at(str(run.meta.get("started", ""))) or _EVER, run.path.name),
    )
