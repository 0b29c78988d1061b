# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the recordings that the notebooks read. It runs in the lab; README.md has the commands.

The probes are attached once and lent to every recording, and nearly all requests are sent by
this very process: a new one would take longer to start than to send. Every recording must
balance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import tracer
from tracer.attach.probes import Probes
from tracer.clients.drive import Workload, drive
from tracer.recorder.record import record_command
from tracer.recorder.session import Options, attach
from tracer.run import Run

SIZES = (16, 256, 4096, 16384)
MIXED = (64, 1024, 16384)
THREADS = (1, 2, 4)
REPEATS = 5
SIDE = 6
BOTH = ("netlink", "sockopt")


class Maker:
    """Records below ``directory`` with attached probes."""

    def __init__(self, directory: Path, probes: Probes) -> None:
        self._directory = directory
        self._probes = probes

    def command(self, name: str, *argv: str) -> None:
        """Record a command."""
        path = self._directory / name
        status = record_command(path, argv, probes=self._probes)
        self._judge(name, tracer.load(path), status)

    def drives(self, name: str, *workloads: Workload) -> None:
        """Record this process while it sends one workload after the other."""
        with tracer.capture(self._directory / name, probes=self._probes) as handle:
            outcomes = [outcome for workload in workloads for outcome in drive(workload)]
        self._judge(name, handle.run, sum(o.errors + o.mismatches for o in outcomes))

    def _judge(self, name: str, run: Run, failures: int) -> None:
        print(f"{name}: {len(run.exchanges)} exchanges, trusted: {run.trusted}", flush=True)
        if failures or not run.trusted:
            raise SystemExit(f"{name} is not fit to be kept: {failures} failures")


def first(make: Maker) -> None:
    """01: every channel once."""
    make.command("first", "tracer", "drive", "--channel", "all", "--count", "199")


def slow(make: Maker) -> None:
    """02: requests of three sizes, then three whose handler takes 5 ms longer."""
    make.drives(
        "slow",
        *(Workload(channels=BOTH, count=67, size=size) for size in MIXED),
        Workload(channels=("netlink",), count=3, handler_delay_ns=5_000_000, seed=2),
    )


def compare(make: Maker) -> None:
    """04: in turn, so that a drift of the machine reaches both sides alike."""
    for repeat in range(1, SIDE + 1):
        make.drives(f"base/{repeat}", Workload(channels=BOTH, count=101))
        make.drives(f"new/{repeat}", Workload(channels=BOTH, count=101, reply_delay_ns=40_000))


def channels(make: Maker) -> None:
    """03: the same payloads over both channels, one recording for each number of threads."""
    for repeat in range(1, REPEATS + 1):
        for threads in THREADS:
            make.drives(
                f"channels/{threads}-threads-{repeat}",
                *(Workload(channels=BOTH, count=31, size=s, threads=threads) for s in SIZES),
            )


PARTS: dict[str, Callable[[Maker], None]] = {
    "first": first, "slow": slow, "compare": compare, "channels": channels,
}  # fmt: skip


def main() -> None:
    """Make the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where to put them, below runs/")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; or all")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for size in sorted({*SIZES, *MIXED}):  # the first requests of a size are slow
        drive(Workload(channels=BOTH, count=67, size=size))
    probes = attach(Options())
    try:
        for part in arguments.parts or PARTS:
            PARTS[part](Maker(arguments.directory, probes))
    finally:
        probes.close()


if __name__ == "__main__":
    main()
