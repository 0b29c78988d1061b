# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches a machine while it boots, because an emulated one may stop in the middle of that."""

from __future__ import annotations

import time
from pathlib import Path

from tracer.lab.console import GUEST_IS_UP

#: A boot whose console has been silent for this long is given up. A boot takes about 10 s on a
#: machine that has nothing else to do, and many times that on a busy one.
SILENT_SECONDS = 120.0


class Boot:
    """One boot. ``console`` is the file that receives the guest's console."""

    def __init__(self, console: Path) -> None:
        self._console = console
        self._up = False
        self._size = 0
        self._grown = time.monotonic()

    def stands_still(self) -> bool:
        """Whether the guest is not up yet, and has been silent for ``SILENT_SECONDS``.

        On a busy host one of 33 boots under QEMU 7.2, with two emulated processors, printed
        nothing any more from the third second on, until the lab's timeout. The cause is unknown.
        """
        if self._up:
            return False
        text = self._console.read_text(errors="replace") if self._console.exists() else ""
        self._up = GUEST_IS_UP in text
        if len(text) != self._size:
            self._size, self._grown = len(text), time.monotonic()
        return not self._up and time.monotonic() - self._grown > SILENT_SECONDS

    def keep_console(self) -> Path:
        """Put the console's file aside for whoever wants to know; its new name."""
        kept = self._console.with_name(f"{self._console.stem}-stood-still{self._console.suffix}")
        if self._console.exists():
            self._console.rename(kept)
        return kept
