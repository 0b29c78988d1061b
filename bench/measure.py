# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure, in the guest, what our tracer and other tools add to the calls of a C client.

    tracer lab --deterministic -- python -m bench.measure runs/bench/6.1.json
    tracer lab --deterministic -- python -m bench.measure --ours runs/bench/ours.json

On that clock a nanosecond is an instruction. ``--ours`` leaves the other tools out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.result import ATTACHED, CALLS, TRACED, UNTRACED, Result, Round, Side, write
from bench.tools import TOOLS, Tool, versions
from tracer.attach.probes import Probes
from tracer.recorder.record import record_command
from tracer.recorder.session import Options, attach
from tracer.resources import source_dir
from tracer.run import load

SOURCE = Path(__file__).with_name("client.c")
ROUNDS = 3
COUNT = 1009
#: What the client does before it times anything, as client.c has it.
WARM_UP = 101
#: Bytes; a round fits, so that nothing is drained while it lasts.
RING = 4 << 20
#: Those of the client's calls that our tracer makes an exchange of.
EXCHANGES = 3


class Client:
    """The compiled client; everything it needs and writes lies in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "client"
        self._times = directory / "times.json"
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-I", str(source_dir("kmod"))]
        subprocess.run([*command, "-o", self.program, SOURCE], check=True)

    @property
    def argv(self) -> list[str]:
        """Its command line."""
        return [str(self.program), str(COUNT), str(self._times)]

    def rounds(self, run: Callable[[], int]) -> list[Round]:
        """Its times, each time ``run`` has run it. One that fails ends the measurement."""
        return [self._round(run) for _ in range(ROUNDS)]

    def _round(self, run: Callable[[], int]) -> Round:
        self._times.unlink(missing_ok=True)
        status = run()
        if status:
            raise SystemExit(f"the client ended with status {status}")
        found: Round = json.loads(self._times.read_text())
        if tuple(found) != CALLS:
            raise SystemExit(f"the client measured {', '.join(found)}, not {', '.join(CALLS)}")
        return found

    def untraced(self) -> Side:
        """Nobody traces."""
        return Side(UNTRACED, self.rounds(lambda: subprocess.call(self.argv)))


def ours(client: Client, directory: Path) -> Iterator[Side]:
    """Our tracer: probes attached while somebody else would be traced, then the client traced."""
    probes = attach(Options(ring=RING))
    try:
        yield Side(ATTACHED, client.rounds(lambda: subprocess.call(client.argv)))
        yield traced(client, directory, probes)
    finally:
        probes.close()


def traced(client: Client, directory: Path, probes: Probes) -> Side:
    """The client under ``tracer record``; the last recording must be whole."""
    recording = directory / "recording"

    def run() -> int:
        shutil.rmtree(recording, ignore_errors=True)
        return record_command(recording, client.argv, probes=probes)

    rounds = client.rounds(run)
    recorded = load(recording)
    if not recorded.trusted:
        raise SystemExit(f"{recording} is untrusted:\n{recorded.ledger.to_string()}")
    return Side(TRACED, rounds, len(recorded.exchanges), EXCHANGES * (COUNT + WARM_UP))


def theirs(client: Client, tool: Tool, directory: Path) -> Side:
    """The client while another tool watches it."""
    output = directory / "told.txt"
    with output.open("w+b") as told, tool.at_work(told) as prefix:
        rounds = client.rounds(lambda: subprocess.call([*prefix, *client.argv], stderr=told))
    happened = tool.per_round * (COUNT + WARM_UP) * ROUNDS
    return Side(tool.name, rounds, tool.count(output.read_text(errors="replace")), happened)


def measure(directory: Path, tools: tuple[Tool, ...]) -> Iterator[Side]:
    """Every side, with an untraced one before and after each tool."""
    client = Client(directory)
    client.untraced()  # the first one after a boot is often slower
    yield client.untraced()
    yield from ours(client, directory)
    yield client.untraced()
    for tool in tools:
        yield theirs(client, tool, directory)
        yield client.untraced()


def main() -> None:
    """Measure and write the result; a line on every side meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ours", action="store_true", help="our tracer only")
    parser.add_argument("result", type=Path)
    options = parser.parse_args()
    tools = () if options.ours else TOOLS
    sides = []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        for side in measure(Path(directory), tools):
            sides.append(side)
            p50 = ", ".join(f"{call} {side.p50(call):,}" for call in CALLS)
            print(f"{side.name}: {p50}; told {side.told} of {side.happened}", flush=True)
    write(options.result, Result(os.uname().release, sides, versions(tools)))


if __name__ == "__main__":
    main()
