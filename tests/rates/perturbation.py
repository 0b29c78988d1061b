# SPDX-License-Identifier: GPL-2.0-or-later
"""What tracing adds to the traced program, in instructions, on the deterministic clock.

    tracer lab --deterministic -- python tests/rates/perturbation.py runs/perturbation

One process sends the same requests three ways in turn: with no probe attached; with probes
attached for somebody else; and traced. Prints the medians of the calls, as the program itself
sees them. The program keeps its log of sends in all three.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median

from tracer.clients.drive import Workload, drive
from tracer.recorder.record import capture
from tracer.recorder.session import Options, attach

ROUNDS = 5
COUNT = 307
Medians = dict[str, list[int]]


def measure(context: Callable[[int], AbstractContextManager[object]]) -> Medians:
    """The median call of every channel in ns, one per round; the first round warms up."""
    found: Medians = {}
    for number in range(ROUNDS + 1):
        with context(number):
            outcomes = drive(Workload(("netlink", "sockopt"), COUNT, size=100))
        for outcome in outcomes:
            if outcome.errors or outcome.mismatches:
                raise SystemExit(f"{outcome.channel}: {outcome.first_error}")
            if number:
                found.setdefault(outcome.channel, []).append(outcome.p50_ns)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    before = measure(lambda _: nullcontext())
    with_probes = attach(Options(ring=4 << 20))
    attached = measure(lambda _: nullcontext())
    traced = measure(lambda n: capture(directory / str(n), probes=with_probes))
    with_probes.close()
    print("| call | without probes | attached, not traced | traced | added |")
    print("|---|---:|---:|---:|---:|")
    for channel in before:
        levels = [median(each[channel]) for each in (before, attached, traced)]
        added = levels[2] - levels[0]
        cells = [
            channel,
            *(f"{ns:,.0f}" for ns in levels),
            f"{added:+,.0f} ({added / levels[0]:+.1%})",
        ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
