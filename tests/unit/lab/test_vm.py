# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import script_machine as script_machine_program
from marked_processes import DEADLINE, processes_with, seconds_until_gone
from script_machine import ScriptMachine, script_machine

from tracer.errors import TracerError
from tracer.lab import vm

#: Says that it runs, and does so until somebody ends it; its child does not heed SIGTERM.
FOR_EVER = "sh -c \"trap '' TERM; exec sleep 10000\" & echo up; exec sleep 10000"
PIPE_SIZE = 4096
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def machine(tmp_path: Path) -> vm.Machine:
    return vm.Machine(
        image=Path("/boot/vmlinuz-6.1.0"),
        cpus=2,
        memory="2G",
        kvm=False,
        deterministic=False,
        shared=tmp_path,
        console=tmp_path / "console.log",
    )


def test_the_command_line(machine: vm.Machine, tmp_path: Path) -> None:
    line = " ".join(machine.command(tmp_path / "guest.sh"))
    assert "--kimg /boot/vmlinuz-6.1.0" in line
    assert "--disable-kvm" in line
    assert "--kopt tsc=reliable --kopt clocksource=tsc" in line
    assert f"--rwdir={tmp_path}" in line
    assert f"chardev.console.path={tmp_path}/console.log" in line
    assert "--kopt norandmaps" in line
    assert f"mount_tag={vm.CACHED_ROOT}" in line
    assert "icount" not in line
    assert "nokaslr" not in line


def test_kvm_is_used_when_it_works(machine: vm.Machine, tmp_path: Path) -> None:
    """It translates no code by address, so that addresses may be random there."""
    line = replace(machine, kvm=True).command(tmp_path / "guest.sh")
    assert "--disable-kvm" not in line
    assert "norandmaps" not in line


def test_deterministic_fixes_clock_seeds_and_addresses(machine: vm.Machine, tmp_path: Path) -> None:
    line = " ".join(replace(machine, deterministic=True).command(tmp_path / "guest.sh"))
    assert "-icount shift=0,sleep=off" in line
    assert "-seed 1" in line
    assert "--kopt norandmaps" in line
    assert "--kopt nokaslr" in line


def test_a_missing_tool_is_one_clear_line(
    machine: vm.Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(
        TracerError, match=r"cannot start the virtual machine: .* not installed; run"
    ):
        vm.run(machine, tmp_path / "guest.sh", 5)


@pytest.fixture
def fake(tmp_path: Path) -> ScriptMachine:
    return script_machine(tmp_path)


def test_streams_stay_apart_and_the_status_is_returned(
    fake: ScriptMachine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "guest.sh"
    script.write_text("echo out; echo err >&2; exit 7")
    assert vm.run(fake, script, DEADLINE) == 7
    assert capfd.readouterr() == ("out\n", "err\n")


def test_a_timeout_ends_every_process_of_the_machine(
    fake: ScriptMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACER_TEST", str(tmp_path))
    script = tmp_path / "guest.sh"
    script.write_text(FOR_EVER)
    assert vm.run(fake, script, 1) is None
    assert processes_with(f"TRACER_TEST={tmp_path}") == []


def test_no_descriptor_and_no_handler_is_left_behind(fake: ScriptMachine, tmp_path: Path) -> None:
    script = tmp_path / "guest.sh"
    script.write_text("true")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    files, handlers = set(os.listdir("/proc/self/fd")), [signal.getsignal(n) for n in numbers]
    assert vm.run(fake, script, DEADLINE) == 0
    assert set(os.listdir("/proc/self/fd")) <= files
    assert [signal.getsignal(n) for n in numbers] == handlers


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Run a script's machine in a process of its own, so that no signal can reach this one."""
    started: list[subprocess.Popen[bytes]] = []

    def run(text: str, *before: str) -> subprocess.Popen[bytes]:
        (tmp_path / "guest.sh").write_text(text)
        process = subprocess.Popen(
            # Whatever ignores signals may have started these tests, such as nohup.
            ["env", "--default-signal=HUP,INT,TERM", *before,
             sys.executable, script_machine_program.__file__, str(tmp_path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=PIPE_SIZE,
            env={**os.environ, "TRACER_TEST": str(tmp_path)},
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    seconds_until_gone(f"TRACER_TEST={tmp_path}")


def wait_until_up(process: subprocess.Popen[bytes]) -> None:
    """The machine has said its first words, so it runs."""
    assert process.stdout is not None
    assert process.stdout.read(3) == b"up\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_machine_and_then_us(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(FOR_EVER)
    wait_until_up(process)
    process.send_signal(number)
    _, said = process.communicate(timeout=DEADLINE)
    if number == signal.SIGINT:
        assert process.returncode == -number, said
        assert b"KeyboardInterrupt" in said
    else:
        assert (process.returncode, said) == (128 + number, b"")
    assert processes_with(f"TRACER_TEST={tmp_path}") == []


def test_what_is_ignored_stays_ignored(start: Start) -> None:
    """As under nohup: the hangup comes first, and only the later termination ends it."""
    process = start(FOR_EVER, "nohup")
    wait_until_up(process)
    process.send_signal(signal.SIGHUP)
    process.terminate()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_reader_that_is_stuck_does_not_hold_up_a_signal(start: Start) -> None:
    process = start("echo up; exec yes")
    wait_until_up(process)
    assert process.stdout is not None
    deadline = time.monotonic() + DEADLINE
    while unread(process.stdout) < PIPE_SIZE:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # paces a poll with a deadline
    process.terminate()
    assert process.wait(DEADLINE) == 128 + signal.SIGTERM


def unread(pipe: IO[bytes]) -> int:
    """The bytes that lie in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_reader_that_went_away_ends_the_machine(start: Start, tmp_path: Path) -> None:
    process = start("echo up; exec yes")
    wait_until_up(process)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(DEADLINE) == 1
    assert process.stderr is not None
    assert b"OutputClosedError" in process.stderr.read()
    assert processes_with(f"TRACER_TEST={tmp_path}") == []


def test_what_is_typed_reaches_the_guest(tmp_path: Path) -> None:
    (tmp_path / "guest.sh").write_text("echo up; read -r typed; echo $typed; read -r more; exit 7")
    terminal, typing = pty.openpty()
    with (
        open(terminal, "wb", buffering=0) as keys,
        open(typing, "rb", buffering=0) as tty,
        subprocess.Popen(
            [sys.executable, script_machine_program.__file__, str(tmp_path)],
            stdin=tty,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        wait_until_up(process)
        assert process.stdout is not None
        keys.write(b"one\n")
        assert process.stdout.readline() == b"one\n"
        keys.write(b"two\n")
        assert process.wait(DEADLINE) == 7


def test_a_machine_does_not_outlive_a_killed_host(start: Start, tmp_path: Path) -> None:
    process = start(FOR_EVER)
    wait_until_up(process)
    assert len(processes_with(f"TRACER_TEST={tmp_path}")) > 2
    process.kill()
    process.wait()
    seconds_until_gone(f"TRACER_TEST={tmp_path}")


# Sends a signal to itself at every line, one a child, on the way from vm.run to the wait for
# the machine. Prints what each child came to and which processes of the machine it left.
EVERY_LINE = """
import json, os, subprocess, sys
from pathlib import Path
import script_machine
from marked_processes import processes_with
from tracer.lab import vm

place, number = Path(sys.argv[1]), int(sys.argv[2])
lab = str(Path(vm.__file__).parent)

def start(line):
    # A child that gets the signal at this line, or where it waits; and its mark.
    child = os.fork()
    if child:
        return child, f"TRACER_LINE={os.getpid()}-{line}"
    os.environ["TRACER_LINE"] = f"{os.getppid()}-{line}"
    seen = set()

    def trace(frame, event, _argument):
        code = frame.f_code
        popen = code.co_filename == subprocess.__file__ and code.co_name
        ours = code.co_filename.startswith(lab) or popen in ("_execute_child", "wait")
        if not ours or None in seen:
            return trace
        seen.add((code, frame.f_lineno, event))
        if len(seen) == line or popen == "wait":
            if line == 0:
                os.write(count, str(len(seen)).encode())
            seen.add(None)
            os.kill(os.getpid(), number)
        return trace

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.settrace(trace)
    try:
        vm.run(script_machine.script_machine(place), place / "guest.sh", 1000)
    except SystemExit as ended:
        os._exit(ended.code)
    except KeyboardInterrupt:
        os._exit(130)
    os._exit(0)

def end(line, child, mark):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([line, status, processes_with(mark)]))

counted, count = os.pipe()
end(0, *start(0))
for first in range(1, int(os.read(counted, 9)), 10):
    started = [(line, *start(line)) for line in range(first, first + 10)]
    for each in started:
        end(*each)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_line_leaves_no_process_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Also where Popen has started it and nobody knows it yet."""
    (tmp_path / "guest.sh").write_text("exec sleep 10000")
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", EVERY_LINE, str(tmp_path), str(int(number))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=600,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 50
    # Before our handlers stand, a signal does what it always does.
    usual = (128 + number, -number)
    assert [line for line in lines if line[1] not in usual or line[2]] == []
