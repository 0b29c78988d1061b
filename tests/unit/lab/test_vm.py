# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tracer.errors import TracerError
from tracer.lab import vm


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
    assert "icount" not in line


def test_kvm_is_used_when_it_works(machine: vm.Machine, tmp_path: Path) -> None:
    assert "--disable-kvm" not in replace(machine, kvm=True).command(tmp_path / "guest.sh")


def test_deterministic_fixes_clock_seeds_and_addresses(machine: vm.Machine, tmp_path: Path) -> None:
    line = " ".join(replace(machine, deterministic=True).command(tmp_path / "guest.sh"))
    assert "-icount shift=0,sleep=off" in line
    assert "-seed 1" in line
    assert "--kopt nokaslr --kopt norandmaps" in line


class FakeMachine(vm.Machine):
    """Runs the script on this machine instead of booting one."""

    def command(self, script: Path) -> list[str]:
        return ["sh", str(script)]


@pytest.fixture
def script(machine: vm.Machine, tmp_path: Path) -> Callable[..., int | None]:
    fake = FakeMachine(**vars(machine))

    def run(text: str, timeout: float = 60) -> int | None:
        (tmp_path / "guest.sh").write_text(text)
        return vm.run(fake, tmp_path / "guest.sh", timeout)

    return run


def test_streams_stay_apart_and_the_status_is_returned(
    script: Callable[..., int | None], capfd: pytest.CaptureFixture[str]
) -> None:
    assert script("echo out; echo err >&2; exit 7") == 7
    assert capfd.readouterr() == ("out\n", "err\n")


def test_a_timeout_ends_every_process_of_the_group(
    script: Callable[..., int | None], tmp_path: Path
) -> None:
    lock = tmp_path / "held"
    # The grandchild ignores SIGTERM and holds a lock until it dies.
    inner = f"trap '' TERM; exec 9>{lock}; flock 9; exec tail -f /dev/null"
    assert script(f'sh -c "{inner}" & wait', timeout=1) is None
    subprocess.run(["flock", "--timeout", "10", str(lock), "true"], check=True)


def test_a_termination_unwinds_and_restores_the_handler(
    script: Callable[..., int | None],
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as exit_:
        script(f"kill -TERM {os.getpid()}; exec tail -f /dev/null")
    assert exit_.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_missing_tool_is_one_clear_line(
    machine: vm.Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(
        TracerError, match=r"cannot start the virtual machine: .* not installed; run"
    ):
        vm.run(machine, tmp_path / "guest.sh", 5)
