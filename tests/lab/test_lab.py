# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself, on real virtual machines: each test boots at most two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marked_processes import processes_with, seconds_until_gone

pytestmark = pytest.mark.lab

Lab = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).parents[2]

# Between two boots we measured 21 ns in a million; this leaves a factor of fifty.
REPEATS_WITHIN = 0.001
# It is a fraction of a second on a machine that has nothing else to do.
GONE_WITHIN_SECONDS = 10
BUSY_LOOP = """
import time

def busy():
    begin = time.monotonic_ns()
    sum(i * i for i in range(2000))
    return time.monotonic_ns() - begin

print(sorted(busy() for _ in range(301))[150])
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Start ``tracer lab ARGUMENTS``; at the end none of its processes may be left."""
    mark = f"TRACER_TEST={uuid.uuid4()}"
    name, _, value = mark.partition("=")

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tracer", "lab", "--timeout", "300", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, name: value},
        )

    yield start
    assert processes_with(mark) == []


def test_streams_and_status_pass_through_with_the_module_loaded(lab: Lab) -> None:
    clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    script = f"cat {clock}; pwd; id -u; cat /sys/module/msgchan/initstate; echo oops >&2; exit 7"
    process = lab("--", "sh", "-c", script)
    out, err = process.communicate()
    assert process.returncode == 7, err
    clock_source, *rest = out.splitlines()
    assert clock_source in ("tsc", "kvm-clock")
    assert rest == [str(ROOT), "0", "live"]
    assert "oops\n" in err
    assert "console.log" in err


def test_a_warning_of_the_kernel_fails_a_command_that_succeeded(lab: Lab) -> None:
    script = "echo '<4>WARNING: CPU: 0 PID: 1 at nowhere' >/dev/kmsg; echo done"
    process = lab("--no-module", "--", "sh", "-c", script)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "done\n"), err
    assert "WARNING: CPU: 0 PID: 1 at nowhere" in err


def test_a_kernel_that_dies_is_shown(lab: Lab) -> None:
    process = lab("--no-module", "--", "sh", "-c", "echo c >/proc/sysrq-trigger")
    _, err = process.communicate()
    assert process.returncode == 1, err
    assert "Kernel panic - not syncing: sysrq triggered crash" in err


def test_an_interrupted_lab_takes_its_machine_down(lab: Lab) -> None:
    process = lab("--no-module", "--", "sh", "-c", "echo up; exec tail -f /dev/null")
    process.stdout.read(1)  # the guest's first byte: the machine is up
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


def test_a_killed_lab_takes_its_machine_down(lab: Lab) -> None:
    process = lab("--no-module", "--", "sh", "-c", "echo up; exec tail -f /dev/null")
    process.stdout.read(1)
    (mark,) = (x for x in process_environment(process) if x.startswith("TRACER_TEST="))
    assert any("qemu" in line for line in processes_with(mark))
    process.kill()
    process.communicate()
    assert seconds_until_gone(mark) < GONE_WITHIN_SECONDS


def process_environment(process: subprocess.Popen[str]) -> list[str]:
    """The variables a process was started with."""
    return Path(f"/proc/{process.pid}/environ").read_text().split("\0")


def test_the_deterministic_clock_repeats_from_boot_to_boot(lab: Lab) -> None:
    medians = []
    for _ in range(2):
        process = lab("--no-module", "--deterministic", "--", "python", "-c", BUSY_LOOP)
        out, err = process.communicate()
        assert process.returncode == 0, err
        medians.append(int(out))
    first, second = medians
    assert abs(first - second) <= REPEATS_WITHIN * first, medians


def test_a_machine_that_cannot_start_is_one_clear_line(lab: Lab) -> None:
    process = lab("--no-module", "--memory", "9999999G", "--", "true")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: the lab could not run the command: virtme-run")
