# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured in one boot: a file of JSON, and how much each tool added to a call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

#: The calls that the client times, in its order.
CALLS = ("netlink", "setsockopt", "getsockopt", "unix")
UNTRACED = "untraced"
#: Our tracer's two sides: a program that it traces, and one that it does not, meanwhile.
TRACED, ATTACHED = "tracer, traced", "tracer, attached"

#: What one run of the client prints: by call, ``count``, ``min``, ``p50`` and ``p99`` in ns.
Round = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Side:
    """The rounds of the client under one tool, or untraced.

    ``told`` is how many of the ``happened`` things that the tool watches it told of, None where
    there is nothing to tell.
    """

    name: str
    rounds: list[Round]
    told: int | None = None
    happened: int | None = None

    def p50(self, call: str) -> int:
        """The median call in ns: the least over the rounds."""
        return min(found[call]["p50"] for found in self.rounds)


@dataclass(frozen=True)
class Result:
    """One boot: its sides in the order of measuring, with an untraced one around each tool."""

    kernel: str
    sides: list[Side]
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""

    def tools(self) -> list[Side]:
        """The sides in which somebody traced."""
        return [side for side in self.sides if side.name != UNTRACED]

    def untraced(self, call: str) -> int:
        """The median untraced call of this boot in ns."""
        return min(side.p50(call) for side in self.sides if side.name == UNTRACED)

    def added(self, call: str) -> dict[str, int]:
        """By tool, what it added to the median call in its lowest round."""
        return {name: min(rounds) for name, rounds in self.rounds_added(call).items()}

    def rounds_added(self, call: str) -> dict[str, list[int]]:
        """By tool, what it added to the median call, round by round.

        The base is the lower one of the untraced sides before and after the tool: an untraced
        call has two levels, some 280 instructions apart, and changes from one to the other when
        a tool is loaded.
        """
        return {
            side.name: [found[call]["p50"] - base.p50(call) for found in side.rounds]
            for side, base in self._pairs(call)
        }

    def _pairs(self, call: str) -> Iterator[tuple[Side, Side]]:
        for number, side in enumerate(self.sides):
            if side.name != UNTRACED:
                yield side, min(self._around(number), key=lambda base: base.p50(call))

    def _around(self, number: int) -> Iterator[Side]:
        """The nearest untraced side before this one, and the nearest one after it."""
        for part in (self.sides[number::-1], self.sides[number:]):
            base = next((side for side in part if side.name == UNTRACED), None)
            if base is None:
                name = self.sides[number].name
                raise ValueError(f"{name!r} is not between two untraced sides")
            yield base


def write(path: Path, result: Result) -> None:
    """Keep the result; what differs between two boots is then a difference of a few lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps(asdict(side)) for side in result.sides]
    head = {name: value for name, value in asdict(result).items() if name != "sides"}
    text = json.dumps(head, indent=1)[:-2]
    path.write_text(f'{text},\n "sides": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n")


def read(path: Path) -> Result:
    """A result that :func:`write` kept."""
    found = json.loads(path.read_text())
    return Result(**{**found, "sides": [Side(**side) for side in found["sides"]]})
