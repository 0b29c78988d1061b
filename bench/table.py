# SPDX-License-Identifier: GPL-2.0-or-later
"""A result as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.guard import Guard
from bench.result import CALLS, Result, Side

#: What the ratios are to.
REFERENCE = "ftrace kprobe events"
HEADS = {
    "netlink": "netlink echo",
    "setsockopt": "`setsockopt`",
    "getsockopt": "`getsockopt`",
    "unix": "`AF_UNIX`",
}
#: Below that many instructions the reference adds nothing that one could divide by.
NOTHING = 300


def table(result: Result) -> str:
    """A row for each tool: what it added to each call, and what it told of what happened."""
    return "\n".join(_line(cells) for cells in _rows(result))


def figures(guard: Guard) -> str:
    """A row for each side that is guarded: what it adds to each call, and the spread of that."""
    rows = [["", *(HEADS[call] for call in CALLS)], ["---", *("---:" for _ in CALLS)]]
    for name in dict.fromkeys(figure.side for figure in guard.figures):
        found = {figure.call: figure for figure in guard.figures if figure.side == name}
        cells = [f"{found[call].added:+,} ({found[call].spread:,})" for call in CALLS]
        rows.append([name, *cells])
    return "\n".join(_line(cells) for cells in rows)


def ratio(added: int, reference: int) -> str:
    """How many times the reference that is, empty where the reference added next to nothing."""
    return f"{added / reference:.2f}" if reference >= NOTHING else ""


def told(side: Side) -> str:
    """The share that a tool told of what happened, empty where there was nothing to tell."""
    if side.told is None or not side.happened:
        return ""
    return f"{side.told / side.happened:.0%}"


def _rows(result: Result) -> Iterator[Sequence[str]]:
    added = {call: result.added(call) for call in CALLS}
    yield ["", *(HEADS[call] for call in CALLS), "told"]
    yield ["---", *("---:" for _ in CALLS), "---:"]
    yield ["untraced", *(f"{result.untraced(call):,}" for call in CALLS), ""]
    for side in result.tools():
        cells = []
        for call in CALLS:
            more = added[call][side.name]
            share = ratio(more, added[call].get(REFERENCE, 0))
            cells.append(f"{more:+,} {f'({share})' if share else ''}".strip())
        yield [side.name, *cells, told(side)]


def _line(cells: Sequence[str]) -> str:
    return " ".join(f"| {cell}".rstrip() for cell in cells) + " |"
