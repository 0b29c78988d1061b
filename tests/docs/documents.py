# SPDX-License-Identifier: GPL-2.0-or-later
"""The code blocks of README.md and docs/*.md, and the commands in them.

```sh is commands, run by ``sh -e``; ```python is run too; a ```text right after either is what it
prints, unless a line ``<!-- an example -->`` stands between them.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ("sh", "python")
#: Shown, not run: what a command prints, and text that is no command.
SHOWN = ("text", "c", "yaml", "json", "toml", "diff", "{eval-rst}", "{toctree}", "{raw} html")
LAB = [".venv/bin/tracer", "lab"]

_FENCE = re.compile(
    r"^(?P<mark>`{3,}|:{3,}|~{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=mark) *$", re.M | re.S
)
_EXAMPLE = "<!-- an example -->"
_OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "(", ")"}


@dataclass(frozen=True)
class Block:
    """A fenced block. ``line`` is where its first line stands in ``page``."""

    page: Path
    line: int
    info: str
    text: str
    #: What the page shows as the output, None without.
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page with commands that a user may copy."""
    return [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order; a ```text that is an output belongs to its block."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        info = fence["info"].strip().removeprefix("{code-block} ")
        between, end = text[end : fence.start()].strip(), fence.end()
        if info == "text" and not between and found and found[-1].info in RUN:
            found[-1] = Block(*list(vars(found[-1]).values())[:4], fence["text"])
            continue
        if info == "text" and between.endswith(_EXAMPLE):
            continue
        found.append(Block(page, text.count("\n", 0, fence.start()) + 2, info, fence["text"]))
    return found


def statements(text: str) -> list[str]:
    """The lines of a shell text, continued lines joined, without comments and empty ones."""
    joined = text.replace("\\\n", " ")
    lines = [re.sub(r"\s+#\s.*$", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def lab_command(statement: str) -> list[str] | None:
    """The arguments of ``tracer lab`` if the statement begins with it."""
    lexer = shlex.shlex(statement, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if word in _OPERATORS:
            break
        words.append(word)
    return words[len(LAB) :] if words[: len(LAB)] == LAB else None


def words(line: str) -> list[str]:
    """What of a printed line does not change from run to run: words without digits."""
    return [w for w in line.split() if any(map(str.isalpha, w)) and not any(map(str.isdigit, w))]
