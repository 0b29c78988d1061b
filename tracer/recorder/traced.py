# SPDX-License-Identifier: GPL-2.0-or-later
"""What a block that is being recorded is called: a run that is there once the block has ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracer.run import Run


class Traced:
    """A traced block. After it, everything that :class:`tracer.run.Run` has is here too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._run: Run | None = None

    @property
    def run(self) -> Run:
        """The finished recording. Raises ``RuntimeError`` inside the block."""
        if self._run is None:
            raise RuntimeError("the trace is still running: use it after the with block")
        return self._run

    def finished(self, run: Run) -> None:
        """Give it the recording."""
        self._run = run

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.run, name)
