# SPDX-License-Identifier: GPL-2.0-or-later
"""What the report's page says, by section."""

from __future__ import annotations

from html.parser import HTMLParser


class Reader(HTMLParser):
    """The cells of each section's tables by row, and every start tag; checks the nesting."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._section = ""
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.VOID:
            return
        self._open.append(tag)
        if tag == "section":
            self._section = str(dict(attrs)["id"])
            self.cells[self._section] = []
        elif tag == "tr":
            self.cells.setdefault(self._section, []).append([])
        elif tag == "td":
            self.cells[self._section][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "td" in self._open and "svg" not in self._open:
            self.cells[self._section][-1][-1] += data

    def rows(self, section: str) -> list[list[str]]:
        """The rows that have cells."""
        return [row for row in self.cells[section] if row]
