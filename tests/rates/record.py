# SPDX-License-Identifier: GPL-2.0-or-later
"""Record many runs of one workload in the guest, some with a delay that the module injects.

    tracer lab -- python tests/rates/record.py DIR --rounds 20 --side same=0,0,0 \
        --side handler=100,0,0

Each round records the first side, then one of the others in turn, into
``DIR/<round>-<side>``. A side is NAME=HANDLER,REPLY,COPY: the delays in ns. The module reads its
clock once whatever was asked for, and once more for every turn of its loop, until that has passed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tracer.attach.probes import Probes
from tracer.clients.drive import Workload, drive
from tracer.recorder.record import capture
from tracer.recorder.session import Options, attach

DELAYS = ("handler_delay_ns", "reply_delay_ns", "copy_delay_ns")


def side(text: str) -> tuple[str, dict[str, int]]:
    """The name and the delays of NAME=HANDLER,REPLY,COPY."""
    name, _, delays = text.partition("=")
    return name, dict(zip(DELAYS, map(int, delays.split(",")), strict=True))


def record(path: Path, delays: dict[str, int], count: int, probes: Probes) -> None:
    """One run: ``count`` echo requests over netlink, and as many sets and gets of an option."""
    with capture(path, probes=probes):
        outcomes = drive(Workload(("netlink", "sockopt"), count, size=100, **delays))
    failed = [f"{o.channel}: {o.first_error}" for o in outcomes if o.errors or o.mismatches]
    if failed:
        raise SystemExit(f"{path}: {', '.join(failed)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--count", type=int, default=101, help="exchanges per run and type")
    parser.add_argument("--side", type=side, action="append", required=True, dest="sides")
    options = parser.parse_args()
    options.directory.mkdir(parents=True)
    probes = attach(Options(ring=4 << 20))
    first, *others = options.sides
    for number in range(options.rounds):
        for name, delays in (first, others[number % len(others)]):
            path = options.directory / f"{number:03d}-{name}"
            record(path, delays, options.count, probes)
        print(f"{options.directory}: {number + 1} of {options.rounds} rounds", flush=True)
    probes.close()


if __name__ == "__main__":
    main()
