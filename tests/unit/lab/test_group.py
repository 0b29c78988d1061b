# SPDX-License-Identifier: GPL-2.0-or-later
"""A command with all that it starts, tied to this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marked_processes import DEADLINE, processes_with, seconds_until_gone

from tracer.lab.group import Group

Start = Callable[..., Group]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a group whose processes carry a mark; it is closed in the end."""
    started: list[Group] = []

    def group(*argv: str) -> Group:
        environment = {**os.environ, "TRACER_TEST": str(tmp_path)}
        made = Group(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment)
        started.append(made)
        return made

    yield group
    for group_ in started:
        group_.close()


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("kill -TERM $$", -15)])
def test_the_status_is_that_of_the_command(start: Start, command: str, status: int) -> None:
    assert start("sh", "-c", command).process.wait(DEADLINE) == status


def test_a_command_that_does_not_exist(start: Start) -> None:
    assert start("/no/such/command").process.wait(DEADLINE) == 127


def test_words_arrive_as_they_are(start: Start) -> None:
    words = ["a b", "$HOME", "'", "", "-x"]
    group = start("printf", "%s\n", *words)
    assert group.process.communicate()[0].decode().split("\n") == [*words, ""]


def test_the_streams_end_with_the_command(start: Start) -> None:
    """What watches over it holds none of them."""
    group = start("echo", "said")
    assert group.process.stdout is not None
    assert group.process.stdout.read() == b"said\n"


def test_a_closed_group_is_gone(start: Start, tmp_path: Path) -> None:
    """Even what does not heed signals, and at once: no process is left when close returns."""
    group = start("sh", "-c", "(trap '' TERM HUP INT; sleep 10000; :) & echo; exec sleep 10000")
    assert group.process.stdout is not None
    group.process.stdout.read(1)
    assert len(processes_with(f"TRACER_TEST={tmp_path}")) >= 3
    group.close()
    assert processes_with(f"TRACER_TEST={tmp_path}") == []
    assert group.process.returncode == -signal.SIGKILL
    group.kill()
    group.close()


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    before = open_files()
    with Group(["true"]) as group:
        group.process.wait(DEADLINE)
    assert open_files() <= before
    with pytest.raises(FileNotFoundError):
        Group(["true"], cwd=tmp_path / "absent")
    assert open_files() <= before


# Starts a group in a group, as pytest --latency-lab does with tracer lab, and waits for ever.
NESTED = """
import sys
from tracer.lab.group import Group
inner = "import sys; from tracer.lab.group import Group; g = Group(sys.argv[1:]); g.process.wait()"
command = ["sh", "-c", "echo up; sleep 10000; :"]
group = Group([sys.executable, "-c", inner, *command] if sys.argv[1:] else command)
group.process.wait()
"""


@pytest.mark.parametrize("nested", [[], ["nested"]])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_its_owner(
    tmp_path: Path, nested: list[str], number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NESTED, *nested],
        stdout=subprocess.PIPE,
        env={**os.environ, "TRACER_TEST": str(tmp_path)},
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.read(3) == b"up\n"
        owner.send_signal(number)
        assert owner.wait(DEADLINE) == -number
        seconds_until_gone(f"TRACER_TEST={tmp_path}")


def test_a_process_that_left_the_group_does_not_hold_up_the_close(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracer.lab.group._PATIENCE_SECONDS", 0.1)
    group = start("sh", "-c", "setsid sh -c 'echo $$; exec sleep 10000' & wait")
    assert group.process.stdout is not None
    left = int(group.process.stdout.readline())
    begin = time.monotonic()
    group.close()
    assert time.monotonic() - begin < DEADLINE
    os.kill(left, signal.SIGKILL)
