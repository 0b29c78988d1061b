# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from marked_processes import DEADLINE, seconds_until_gone

from tracer.lab import kvm

Qemu = Callable[[str], None]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One with a device and programs of its own."""
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(kvm, "_DEVICE", device)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.fixture
def qemu(tmp_path: Path) -> Qemu:
    """Make QEMU a script that notes its call and then does this."""

    def install(text: str) -> None:
        program = tmp_path / "qemu-system-x86_64"
        program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n{text}\n')
        program.chmod(0o755)

    install("echo '[    0.0] Linux version 6.1'")
    return install


def calls(tmp_path: Path) -> list[str]:
    """How QEMU was called."""
    file = tmp_path / "calls"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.usefixtures("qemu")
def test_kvm_is_tried_once_and_remembered(tmp_path: Path) -> None:
    assert kvm.usable(tmp_path / "vmlinuz")
    assert kvm.usable(tmp_path / "vmlinuz")
    assert len(calls(tmp_path)) == 1


@pytest.mark.usefixtures("qemu")
def test_another_boot_of_this_machine_is_another_trial(tmp_path: Path) -> None:
    memory = tmp_path / "cache/tracer/kvm.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(json.dumps({"boot_id": "an earlier one", "kvm": False}))
    assert kvm.usable(tmp_path / "vmlinuz")


@pytest.mark.usefixtures("qemu")
def test_a_damaged_memory_is_replaced(tmp_path: Path) -> None:
    memory = tmp_path / "cache/tracer/kvm.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("{")
    assert kvm.usable(tmp_path / "vmlinuz")
    assert json.loads(memory.read_text())["kvm"] is True


def test_a_kvm_that_hangs_is_not_usable(
    qemu: Qemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu("echo Booting from ROM; exec sleep 10000")
    monkeypatch.setattr(kvm, "_LIMIT_SECONDS", 1)
    assert not kvm.usable(tmp_path / "vmlinuz")
    assert not kvm.usable(tmp_path / "vmlinuz")
    assert len(calls(tmp_path)) == 1


@pytest.mark.parametrize("text", ["exit 1", "echo SeaBIOS"])
def test_a_machine_that_does_not_boot_is_not_usable(qemu: Qemu, tmp_path: Path, text: str) -> None:
    qemu(text)
    assert not kvm.usable(tmp_path / "vmlinuz")


def test_a_trial_does_not_outlive_us(qemu: Qemu, tmp_path: Path) -> None:
    """A kernel that never boots leaves QEMU running for ever."""
    qemu(f"mkfifo {tmp_path}/up; echo up >{tmp_path}/up; exec sleep 10000")
    program = (
        "import sys; from pathlib import Path; from tracer.lab import kvm\n"
        "kvm._DEVICE, kvm._LIMIT_SECONDS = Path(sys.argv[1]), 10_000\n"
        "kvm.usable(Path('vmlinuz'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "kvm")],
        env={**os.environ, "TRACER_TEST": str(tmp_path)},
    ) as trial:
        wait_for(tmp_path / "up")
        assert (tmp_path / "up").read_text() == "up\n"
        trial.kill()
    seconds_until_gone(f"TRACER_TEST={tmp_path}")


def wait_for(path: Path) -> None:
    """Until there is such a file."""
    deadline = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # paces a poll with a deadline


@pytest.mark.usefixtures("qemu")
def test_without_the_device_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvm, "_DEVICE", tmp_path / "absent")
    assert not kvm.usable(tmp_path / "vmlinuz")
    assert calls(tmp_path) == []
