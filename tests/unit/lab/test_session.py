# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from script_machine import script_machine

from tracer.errors import TracerError
from tracer.lab import console, session, vm
from tracer.resources import project_root

CONSOLE = Path("console.log")
CALM = f"boot\n[ 7.0] {console.GUEST_IS_UP}\n[ 8.0] reboot: Power down\n"
WARNED = f"boot\n[ 7.0] {console.GUEST_IS_UP}\n[ 7.5] WARNING: CPU: 0 PID: 1 at x.c:1\n"


@pytest.mark.parametrize("status", [0, 1, 42, 137])
def test_the_command_s_status_is_the_lab_s(status: int) -> None:
    outcome = session.judge(f"exited {status}", CALM, CONSOLE, status, 60)
    assert outcome.status == status
    assert bool(outcome.notes) == bool(status)


@pytest.mark.parametrize(("status", "expected"), [(0, 1), (3, 3)])
def test_a_complaint_fails_a_command_that_succeeded(status: int, expected: int) -> None:
    outcome = session.judge(f"exited {status}", WARNED, CONSOLE, status, 60)
    assert outcome.status == expected
    assert "  [ 7.5] WARNING: CPU: 0 PID: 1 at x.c:1" in outcome.notes


def test_a_command_that_does_not_end_is_a_timeout() -> None:
    outcome = session.judge("started", CALM, CONSOLE, None, 60)
    assert outcome.status == 124
    assert outcome.notes[0] == "no end within 60 s; stopped"


def test_a_guest_that_dies_is_a_finding() -> None:
    outcome = session.judge("started", CALM + "Kernel panic - not syncing: x\n", CONSOLE, 255, 60)
    assert outcome.status == 1
    assert "  Kernel panic - not syncing: x" in outcome.notes
    assert session.judge("started", CALM, CONSOLE, 255, 60).status == 1


@pytest.mark.parametrize(
    ("state", "log", "returned", "said"),
    [
        ("", "", 1, "virtme-run ended with status 1"),
        ("", "SeaBIOS\n", None, r"no sign of it within 60 s \(last line of the console: SeaBIOS\)"),
        ("refused the guest's clock source is hpet", "x\n", 125, "clock source is hpet"),
    ],
)
def test_a_command_never_started_is_an_error(
    state: str, log: str, returned: int | None, said: str
) -> None:
    with pytest.raises(TracerError, match=f"the lab could not run the command: .*{said}"):
        session.judge(state, log, CONSOLE, returned, 60)


def test_the_guest_knows_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the script exports, run by a shell, is what a program in the guest reads."""
    (tmp_path / "real").mkdir()
    (tmp_path / "runs dir").symlink_to(tmp_path / "real")
    machine = replace(script_machine(tmp_path), shared=tmp_path / "runs dir")
    exported = []

    def boot(_machine: vm.Machine, script: Path, _timeout: float) -> int:
        lines = [x for x in script.read_text().splitlines() if x.startswith("export TRACER_")]
        shell = "\n".join([*lines, "env"])
        exported.extend(subprocess.check_output(["sh", "-c", shell], text=True).splitlines())
        script.with_name("state").write_text("exited 0")
        return 0

    monkeypatch.setattr(session, "run", boot)
    assert session.run_command(machine, tmp_path, ["true"], None, 60).status == 0
    variables = dict(line.partition("=")[::2] for line in exported)
    monkeypatch.delenv("TRACER_SHARED", raising=False)
    assert session.shared_directory() is None
    monkeypatch.setenv("TRACER_SHARED", variables["TRACER_SHARED"])
    assert session.shared_directory() == (tmp_path / "real").resolve()


@pytest.mark.parametrize(
    ("kvm", "deterministic", "kept"),
    [(False, False, True), (False, True, False), (True, False, False)],
    ids=["emulated", "deterministic", "KVM"],
)
def test_emulated_guests_keep_what_they_compiled(
    kvm: bool, deterministic: bool, kept: bool, tmp_path: Path
) -> None:
    """With KVM compiling is fast; and a deterministic guest is the same in each boot."""
    machine = replace(script_machine(tmp_path), kvm=kvm, deterministic=deterministic)
    variables = session._environment(machine, None)
    assert ("TRACER_COMPILED" in variables) == kept
    assert (variables.get("NUMBA_CPU_NAME") == "generic") == kept


def test_edited_files_are_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a shell in the guest the checkout may change; Python's environment does not."""
    monkeypatch.setattr("sys.prefix", "/home/user/venv")
    root = project_root()
    assert session.cached_directories(edited=False) == [Path("/home/user/venv"), root]
    assert session.cached_directories(edited=True) == [Path("/home/user/venv")]
    monkeypatch.setattr("sys.prefix", "/usr")
    assert session.cached_directories(edited=True) == []
