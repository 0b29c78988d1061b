# SPDX-License-Identifier: GPL-2.0-or-later
"""What each command imports while it works.

In the lab, whose machine is emulated, a process that imports pandas is busy with that for 15
seconds and more. What records or sends must do without: there it would also take the processor
from what is measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from recording_copies import ALL_CHANNELS

from tracer.cli import main

#: What takes long to import, and what only a recorder has.
HEAVY = {
    "bcc", "jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "pyarrow.compute", "rich", "scipy",
    "scipy.stats",
}  # fmt: skip


def imported(script: str, *arguments: str) -> set[str]:
    """Which heavy modules a fresh interpreter has imported when the script ends."""
    last = "\nimport sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script + last, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stderr.splitlines()[-1].split())


#: Calls the command that the arguments are; 1 is a finding, such as a machine that cannot trace.
COMMAND = """
import sys
from tracer.cli import main
try: main(sys.argv[1:])
except SystemExit as end: assert end.code in (0, 1), end.code
"""


def commands(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Every command and subcommand, as the words that call it."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


def test_no_help_imports_what_takes_long() -> None:
    """One process asks for all of them, as nothing that is imported goes away."""
    script = """
import sys
from tracer.cli import main
for words in sys.argv[1:]:
    try: main([*words.split(), "--help"])
    except SystemExit as end: assert end.code == 0, end.code
"""
    words = [" ".join(path) for path in commands()]
    assert {"", "record", "kmod load"} <= set(words)
    assert imported(script, *words) == set()


@pytest.mark.parametrize(
    ("words", "used"),
    [
        (["kmod", "status"], set()),
        (["doctor", "--json"], set()),
        (["doctor"], {"rich"}),
    ],
    ids=lambda given: " ".join(given),
)
def test_what_tells_of_this_machine(words: list[str], used: set[str]) -> None:
    assert imported(COMMAND, *words) == used


def test_a_workload() -> None:
    """Its outcomes are made up, because sending needs the module."""
    outcomes = """
from tracer.clients import drive
wait = drive.Wait("handler", 1, 2, 3, 4)
outcome = drive.Outcome("netlink", 1, 0, 0, 1.0, *[1] * 4, "", (wait,))
drive.drive = lambda workload: [outcome]
"""
    assert imported(outcomes + COMMAND, "drive") == set()


RECORDS = """
import sys
import numpy as np
import tracer, tracer.recorder.record, tracer.recorder.session, tracer.recorder.process
from pathlib import Path
from tracer.clients.entry import SEND_DTYPE
from tracer.event import POINTS_OF_KIND, RECORD_DTYPE
from tracer.recorder.decode import Decoder
from tracer.recorder.machine import describe
from tracer.recording import RecordingWriter, empty_table, sends_table, SCHEMAS
from tracer.recording.witnesses import LogCount

decode, log = Decoder(), LogCount()
writer = RecordingWriter(Path(sys.argv[1]), describe())
for number in range(3):
    told = [(kind, point) for kind, points in POINTS_OF_KIND.items() for point in points]
    records = np.zeros(len(told), RECORD_DTYPE)
    records["words"][:, 14] = number << 32
    records["words"][:, 15] = [kind << 16 | point << 24 for kind, point in told]
    tables = decode(records)
    assert decode.odd.count == 0
    assert tables["tasks"]["tgid"].to_pylist() == [number]
    entries = np.zeros(11, SEND_DTYPE)
    log.add(entries)
    writer.append(**tables, sends=sends_table(entries))
    writer.append(extras=empty_table(SCHEMAS["extras"]))
    writer.flush()
writer.close({"log": log.as_dict()})
"""


def test_a_recording(tmp_path: Path) -> None:
    """All that a recorder does but for the probes: it decodes, writes segments and merges them."""
    path = tmp_path / "recording"
    assert imported(RECORDS, str(path)) == {"numpy", "pyarrow", "pyarrow.compute"}
    assert [file.name for file in path.glob("*/*.parquet")] == ["000000-000002.parquet"] * 6


def test_attaching_and_sending() -> None:
    attach = "import tracer.attach.doctor, tracer.attach.probes, tracer.attach.relay"
    assert imported(attach) == {"numpy"}
    clients = "import tracer.clients.drive, tracer.clients.epoll, tracer.clients.sockopt"
    assert imported(clients) == set()


def test_a_comparison_needs_the_smaller_half_of_scipy() -> None:
    """scipy.stats takes twice as long to import as what it is made of."""
    compares = """
import sys; sys.path.insert(0, sys.argv[1])
from run_builder import digests
from tracer.compare.comparison import compare_digests
compare_digests(digests(1, 1, deterministic=True), digests(1, 2, deterministic=True))
compare_digests(digests(5, 1), digests(5, 2))
"""
    used = {"numpy", "pandas", "pyarrow", "pyarrow.compute", "scipy"}
    assert imported(compares, str(Path(__file__).parent)) == used


def test_a_report_imports_what_it_prints_with(tmp_path: Path) -> None:
    printed = {"pandas", "numpy", "pyarrow", "pyarrow.compute", "rich"}
    assert imported(COMMAND, "report", str(ALL_CHANNELS)) == printed
    page = imported(COMMAND, "report", str(ALL_CHANNELS), "--html", str(tmp_path / "page.html"))
    assert page == printed - {"rich"} | {"matplotlib", "jinja2"}
