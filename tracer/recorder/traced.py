# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``with tracer.capture(...) as run:`` binds to ``run``: a run that exists after the block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracer.run import Run


class Traced:
    """A block that is being recorded. After the block it acts as its :class:`tracer.run.Run`.

    The recording is read when the run is first used. So a program that records several blocks
    in a row reads nothing between two of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole_path = path.absolute()
        self._ended = False
        self._run: Run | None = None

    @property
    def run(self) -> Run:
        """The finished recording. Raises ``RuntimeError`` inside the block."""
        if not self._ended:
            raise RuntimeError("the trace is still running: use it after the with block")
        if self._run is None:
            # Late: it imports pandas, which would take the processor from what is traced.
            from tracer.run import load

            self._run = load(self._whole_path)
        return self._run

    def finished(self) -> None:
        """Called by ``capture`` when the block has ended and its recording is closed."""
        self._ended = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.run, name)
