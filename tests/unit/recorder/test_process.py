# SPDX-License-Identifier: GPL-2.0-or-later
"""The traced command: held, released, watched, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tracer.errors import TracerError
from tracer.recorder.process import (
    Command,
    Watched,
    require_executable,
)

#: What must happen in time; nothing waits so long when all is well.
DEADLINE = 300.0


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands to clean up after."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        command.close()


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def test_a_command_is_held_until_its_release(tmp_path: Path, started: list[Command]) -> None:
    mark = tmp_path / "mark"
    command = Command(["touch", str(mark)], {})
    started.append(command)
    # The child is this very program until it executes: nothing of the command has run.
    assert os.readlink(f"/proc/{command.pid}/exe") == os.readlink("/proc/self/exe")
    assert not command.ended(0)
    assert not mark.exists()
    command.release()
    assert command.ended(DEADLINE)
    assert command.status() == 0
    assert mark.exists()


def test_a_released_command_is_that_command(started: list[Command]) -> None:
    """Release returns when the child has executed, not before."""
    command = Command(["sleep", "60"], {})
    started.append(command)
    command.release()
    assert Path(f"/proc/{command.pid}/cmdline").read_bytes() == b"sleep\0" + b"60\0"
    command.send(signal.SIGKILL)
    command.status()


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_the_status_is_that_of_the_command(started: list[Command], code: int) -> None:
    command = Command(["sh", "-c", f"exit {code}"], {})
    started.append(command)
    command.release()
    assert command.status() == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_gives_the_status_of_a_shell(
    started: list[Command], number: signal.Signals
) -> None:
    command = Command(["sh", "-c", f"kill -{int(number)} $$"], {})
    started.append(command)
    command.release()
    assert command.status() == 128 + number


def test_a_signal_that_we_send(started: list[Command]) -> None:
    command = Command([sys.executable, "-c", "import signal; signal.pause()"], {})
    started.append(command)
    command.release()
    assert not command.ended(0)
    command.send(signal.SIGKILL)
    assert command.ended(DEADLINE)
    assert command.status() == 128 + signal.SIGKILL
    command.send(signal.SIGKILL)


def test_the_environment_is_added_to_ours(tmp_path: Path, started: list[Command]) -> None:
    script = f'echo "$TRACER_TEST $HOME" > {tmp_path / "said"}'
    command = Command(["sh", "-c", script], {"TRACER_TEST": "there"})
    started.append(command)
    command.release()
    assert command.status() == 0
    assert (tmp_path / "said").read_text() == f"there {os.environ.get('HOME', '')}\n"
    assert "TRACER_TEST" not in os.environ


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["no-such-command-anywhere"], "No such file or directory"),
        (["/"], "Permission denied"),
        (["/etc/passwd"], "Permission denied"),
    ],
)
def test_what_cannot_be_executed(started: list[Command], argv: list[str], why: str) -> None:
    command = Command(argv, {})
    started.append(command)
    with pytest.raises(TracerError) as raised:
        command.release()
    assert str(raised.value) == (
        f"cannot run {argv[0]}: {why}; give a command that exists after --"
    )
    with pytest.raises(TracerError) as beforehand:
        require_executable(argv[0])
    assert str(beforehand.value) == str(raised.value)


@pytest.mark.parametrize(
    ("path", "name", "why"),
    [
        ("{dir}/plain:{dir}/none", "tool", "Permission denied"),
        ("{dir}/plain/tool:{dir}/none", "tool", "No such file or directory"),
        ("{dir}/none:{dir}/plain/tool", "tool", "Not a directory"),
        ("{dir}/none:{dir}/plain:{dir}/good", "tool", None),
        ("{dir}/none", "./good/tool", None),
        ("{dir}/good", "./plain/tool", "Permission denied"),
        (":{dir}/none", "here", None),
    ],
)
def test_the_lookup_beforehand_is_that_of_the_execution(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[Command],
    path: str,
    name: str,
    why: str | None,
) -> None:
    for file, mode in (("plain/tool", 0o644), ("good/tool", 0o755), ("here", 0o755)):
        script = tmp_path / file
        script.parent.mkdir(exist_ok=True)
        script.write_text("#!/bin/sh\n")
        script.chmod(mode)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", path.format(dir=tmp_path))

    def told(attempt: Callable[[], None]) -> str | None:
        try:
            attempt()
        except TracerError as error:
            return error.why
        return None

    command = Command([name], {})
    started.append(command)
    assert told(lambda: require_executable(name)) == told(command.release) == why
    command.status()


def test_only_the_execution_finds_a_missing_interpreter(
    tmp_path: Path, started: list[Command]
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    require_executable(str(script))
    command = Command([str(script)], {})
    started.append(command)
    with pytest.raises(TracerError, match="No such file or directory"):
        command.release()


def test_an_abandoned_command_never_runs(tmp_path: Path) -> None:
    before = open_files()
    command = Command(["touch", str(tmp_path / "mark")], {})
    command.abandon()
    command.close()
    assert list(tmp_path.iterdir()) == []
    assert open_files() <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(command.pid, os.WNOHANG)


def test_no_descriptor_is_left_behind() -> None:
    before = open_files()
    command = Command(["true"], {})
    command.release()
    command.status()
    command.close()
    assert open_files() <= before


def test_the_command_inherits_no_descriptor_of_ours(tmp_path: Path, started: list[Command]) -> None:
    command = Command(["sh", "-c", f"ls /proc/self/fd > {tmp_path / 'said'}"], {})
    started.append(command)
    command.release()
    assert command.status() == 0
    inherited = {fd for fd in open_files() if is_inheritable(int(fd))}
    # 3 is what ls reads.
    assert set((tmp_path / "said").read_text().split()) <= {"0", "1", "2", "3", *inherited}


def test_a_child_killed_before_its_release(started: list[Command]) -> None:
    """A Ctrl-C reaches the whole process group: the release must tell it in one line."""
    command = Command(["true"], {})
    started.append(command)
    command.send(signal.SIGKILL)
    assert command.ended(DEADLINE)
    with pytest.raises(TracerError):
        command.release()


def test_a_process_that_does_not_exist() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(TracerError) as raised:
        Watched(child.pid)
    assert str(raised.value) == (
        f"cannot record process {child.pid}: there is no such process; "
        "give the id of a running one ('pidof NAME')"
    )


def test_watching_another_process_to_its_end() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        watched = Watched(child.pid)
        assert not watched.ended(0)
        assert child.stdin is not None
        child.stdin.close()
        assert watched.ended(DEADLINE)
    assert watched.ended(None)
    watched.send(signal.SIGTERM)
    watched.close()


def test_end_ends_a_child_in_any_state(tmp_path: Path) -> None:
    held = Command(["touch", str(tmp_path / "mark")], {})
    held.end()
    assert not (tmp_path / "mark").exists()
    running = Command(["sleep", "1000"], {})
    running.release()
    running.end()
    assert running.status() == 128 + signal.SIGTERM
    over = Command(["true"], {})
    over.release()
    assert over.status() == 0
    over.end()
    for command in (held, running, over):
        command.close()


def test_end_insists(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    deaf = Command(["sh", "-c", f"trap '' TERM; touch {mark}; while :; do sleep 1000; done"], {})
    deaf.release()
    deadline = time.monotonic() + DEADLINE
    while not mark.exists():
        assert time.monotonic() < deadline
    deaf.end(seconds=0.1)
    assert deaf.status() == 128 + signal.SIGKILL
    deaf.close()
