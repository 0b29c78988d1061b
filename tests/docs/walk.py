# SPDX-License-Identifier: GPL-2.0-or-later
"""Walk a page as a user does, from the top of the tree, and say how long each step took.

    scripts/fresh-root -- sh -c 'make run && .venv/bin/python tests/docs/walk.py docs/tutorial.md'

Unlike test_commands.py it boots the lab where the page does. It begins after ``make run``, which
makes the interpreter that it needs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from documents import RUN, Block, blocks, statements


def walk(page: Path) -> None:
    """Run the page's blocks in order; a command that fails ends the walk."""
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page):
        if block.info not in RUN or "make run" in statements(block.text):
            continue
        print(f"\n>>> {page.name}:{block.line}\n{block.text.rstrip()}", flush=True)
        begin = time.monotonic()
        step(block, namespace)
        print(f"<<< {page.name}:{block.line} took {time.monotonic() - begin:.1f} s", flush=True)


def step(block: Block, namespace: dict[str, Any]) -> None:
    """Run one block."""
    if block.info == "sh":
        subprocess.run(["sh", "-e", "-c", block.text], stdin=subprocess.DEVNULL, check=True)
    else:
        exec(compile(block.text, str(block.page), "exec"), namespace)


if __name__ == "__main__":
    walk(Path(sys.argv[1]).resolve())
