# SPDX-License-Identifier: GPL-2.0-or-later
"""Has our tracer become dearer? Compares a boot with the figures in bench/guard.json.

    python -m bench.guard runs/rates/20260101-120000-guard

writes these figures anew, from the results of many boots (``scripts/rates guard``): the median of
what a side adds to a call, and its spread, the distance between the cheapest and the dearest round
of all boots.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median_low

from bench.result import ATTACHED, CALLS, TRACED, Result, read

FIGURES = Path(__file__).with_name("guard.json")
#: A netlink round trip takes one of two levels, so many instructions apart, and a boot or the
#: loading of a program decides which. So its spread is at least this, however few the boots were.
LEVELS = {"netlink": 282}
SIDES = (TRACED, ATTACHED)


@dataclass(frozen=True)
class Figure:
    """What a side adds to a call, in instructions, and the spread of that over rounds and boots."""

    side: str
    call: str
    added: int
    spread: int


@dataclass(frozen=True)
class Guard:
    """The figures of one kernel, and from how many boots they are."""

    kernel: str
    boots: int
    figures: list[Figure]


def learn(boots: Sequence[Result]) -> Guard:
    """The figures that these boots, which must be of one kernel, give."""
    kernels = sorted({boot.kernel for boot in boots})
    if len(kernels) != 1:
        raise SystemExit(f"the boots are of {len(kernels)} kernels: {', '.join(kernels)}")
    figures = []
    for call in CALLS:
        boots_added = [boot.rounds_added(call) for boot in boots]
        for side in SIDES:
            added = median_low(min(boot[side]) for boot in boots_added)
            rounds = [number for boot in boots_added for number in boot[side]]
            spread = max(max(rounds) - min(rounds), LEVELS.get(call, 0))
            figures.append(Figure(side, call, added, spread))
    return Guard(kernels[0], len(boots), figures)


def rises(found: Result, guard: Guard) -> Iterator[str]:
    """A line for each side and call that costs more than its figure and the spread of that."""
    for figure in guard.figures:
        added = found.added(figure.call)[figure.side]
        if added > figure.added + figure.spread:
            yield (
                f"{figure.side}, {figure.call}: adds {added:,} instructions, "
                f"{added - figure.added:+,} to {figure.added:,} (spread {figure.spread:,} "
                f"in {guard.boots} boots)"
            )


def read_guard(path: Path = FIGURES) -> Guard:
    """The committed figures."""
    found = json.loads(path.read_text())
    return Guard(**{**found, "figures": [Figure(**figure) for figure in found["figures"]]})


def write_guard(guard: Guard, path: Path = FIGURES) -> None:
    """Keep the figures, one a line."""
    rows = ",\n".join(f"  {json.dumps(asdict(figure))}" for figure in guard.figures)
    head = f' "kernel": {json.dumps(guard.kernel)},\n "boots": {guard.boots},\n'
    path.write_text(f'{{\n{head} "figures": [\n{rows}\n ]\n}}\n')


def main() -> None:
    """Write bench/guard.json from every result in a directory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    guard = learn([read(path) for path in sorted(parser.parse_args().directory.glob("*.json"))])
    write_guard(guard)
    for figure in guard.figures:
        print(f"{figure.side}, {figure.call}: {figure.added:+,} (spread {figure.spread:,})")


if __name__ == "__main__":
    main()
