# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a figure part of an HTML page, whose font and colours its text, grid and ground take."""

from __future__ import annotations

import re
from html import escape

from tracer.plot.style import GROUND, INK, MUTED, RULE, Drawing

#: The CSS variables that a page must define, by the colour that each replaces.
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", GROUND: "--ground"}

_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_NAMESPACES = re.compile(r'\s+xmlns(?::\w+)?="[^"]*"')
_ROOT = re.compile(r'<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>')
_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")


def inline(drawing: Drawing, key: str) -> str:
    """The drawing as an SVG element; ``key`` keeps its ids apart from those of other figures."""
    text = _METADATA.sub("", _PROLOGUE.sub("", drawing.svg()))
    text = _NAMESPACES.sub("", text).replace("xlink:href", "href")
    text = _FONT.sub("var(--font)", text)
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r"url\(#", f"url(#{key}-", text)
    text = re.sub(r'href="#', f'href="#{key}-', text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    size = r'width="\1" height="\2" viewBox="0 0 \1 \2"'
    label = escape(drawing.described).replace("\\", r"\\")
    return _ROOT.sub(rf'<svg {size} role="img" aria-label="{label}">', text, count=1).strip()
