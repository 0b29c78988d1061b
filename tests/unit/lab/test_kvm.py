# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tracer.lab import kvm

Trials = list[list[str]]


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trials:
    """Stands for QEMU: what it was called with. It boots."""
    called: Trials = []

    def qemu(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        called.append(command)
        return subprocess.CompletedProcess(command, 0, b"[    0.0] Linux version 6.1\n", b"")

    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(kvm, "_DEVICE", device)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", qemu)
    return called


def test_kvm_is_tried_once_and_remembered(trials: Trials, tmp_path: Path) -> None:
    assert kvm.usable(tmp_path / "vmlinuz")
    assert kvm.usable(tmp_path / "vmlinuz")
    assert len(trials) == 1


def test_another_boot_of_this_machine_is_another_trial(trials: Trials, tmp_path: Path) -> None:
    memory = tmp_path / "cache/tracer/kvm.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(json.dumps({"boot_id": "an earlier one", "kvm": False}))
    assert kvm.usable(tmp_path / "vmlinuz")


@pytest.mark.usefixtures("trials")
def test_a_damaged_memory_is_replaced(tmp_path: Path) -> None:
    memory = tmp_path / "cache/tracer/kvm.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("{")
    assert kvm.usable(tmp_path / "vmlinuz")
    assert json.loads(memory.read_text())["kvm"] is True


def test_a_kvm_that_hangs_is_not_usable(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], timeout: float, **_: object) -> None:
        trials.append(command)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert not kvm.usable(tmp_path / "vmlinuz")
    assert not kvm.usable(tmp_path / "vmlinuz")
    assert len(trials) == 1


def test_without_the_device_nothing_is_tried(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvm, "_DEVICE", tmp_path / "absent")
    assert not kvm.usable(tmp_path / "vmlinuz")
    assert trials == []
