# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's chromium without a head: what it makes of a page."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

MEASURE = Path(__file__).with_name("measure.js")
LAPTOP = 1280
#: A4 landscape less its margins, in CSS pixels.
PAPER_WIDTH, PAPER_HEIGHT = 1024, 695
_ALWAYS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip
_LIMIT = 600


class Chromium:
    """Each call is a browser of its own, in a new profile below ``scratch``."""

    def __init__(self, program: str, scratch: Path) -> None:
        self._program = program
        self._scratch = scratch
        self._runs = 0

    def measure(self, page: str, width: int, dark: bool = False) -> dict[str, Any]:
        """What ``measure.js`` finds in the page in a window of that width."""
        script = f"<script>{MEASURE.read_text(encoding='utf-8')}</script>"
        file = self._scratch / "measured.html"
        file.write_text(page.replace("</body>", f"{script}</body>"), encoding="utf-8")
        dom = self._run(file, dark, f"--window-size={width},800", "--dump-dom").decode()
        found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
        assert found, f"measure.js did not end; the DOM is\n{dom[-2000:]}"
        return dict(json.loads(html.unescape(found[1])))

    def screenshot(self, page: Path, to: Path, height: int, dark: bool = False) -> None:
        """The whole page at laptop width as PNG."""
        self._run(page, dark, f"--window-size={LAPTOP},{height}", f"--screenshot={to}")

    def print(self, page: Path, to: Path) -> None:
        """The page as PDF, as it comes out of a printer."""
        self._run(page, False, "--no-pdf-header-footer", f"--print-to-pdf={to}")

    def _run(self, page: Path, dark: bool, *what: str) -> bytes:
        self._runs += 1
        profile = self._scratch / f"profile{self._runs}"
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        try:
            done = subprocess.run(
                [self._program, *_ALWAYS, scheme, f"--user-data-dir={profile}", *what,
                 page.resolve().as_uri()],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, check=False,
            )  # fmt: skip
        finally:
            shutil.rmtree(profile, ignore_errors=True)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
        return done.stdout
