# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot that stands still is given up and begun anew; a guest that is up may be silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from marked_processes import processes_with
from script_machine import script_machine

from tracer.lab import boot, vm
from tracer.lab.console import GUEST_IS_UP

DEADLINE = 300.0
#: Boots, as a machine does: stands still so often as it is told, then comes up and ends.
BOOTS = """
echo "[ 2.9] IPI shorthand broadcast: enabled" >{console}
echo boot >>{boots}
[ "$(wc -l <{boots})" -gt {still} ] || exec sleep 10000
echo "{up}" >>{console}
echo up
{then}
exit 5
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "SILENT_SECONDS", 3.0)
    monkeypatch.setattr(vm, "_WATCH_SECONDS", 0.05)


def machine_of(directory: Path, still: int, then: str = "") -> tuple[vm.Machine, Path]:
    machine, script = script_machine(directory), directory / "guest.sh"
    script.write_text(
        BOOTS.format(
            console=machine.console, boots=directory / "boots", still=still, up=GUEST_IS_UP,
            then=then,
        )
    )  # fmt: skip
    return machine, script


@pytest.mark.parametrize("still", [0, 1, 2])
def test_a_boot_that_stands_still_is_begun_anew(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    still: int,
) -> None:
    monkeypatch.setenv("TRACER_TEST", str(tmp_path))
    machine, script = machine_of(tmp_path, still)
    assert vm.run(machine, script, DEADLINE) == 5
    out, err = capfd.readouterr()
    assert out == "up\n"
    assert err.count("the boot stood still") == still
    kept = tmp_path / "console-stood-still.log"
    assert kept.exists() == bool(still)
    assert GUEST_IS_UP in machine.console.read_text()
    assert processes_with(f"TRACER_TEST={tmp_path}") == []


def test_the_last_boot_has_all_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of these boots are silent, so none can be given up by mistake.
    monkeypatch.setattr(boot, "SILENT_SECONDS", 1.5)
    machine, script = machine_of(tmp_path, still=9)
    assert vm.run(machine, script, 7.5) is None
    assert (tmp_path / "boots").read_text().count("boot") == 3


def test_a_guest_that_is_up_may_be_silent(tmp_path: Path) -> None:
    machine, script = machine_of(tmp_path, 0, "sleep 4")
    assert vm.run(machine, script, DEADLINE) == 5
    assert (tmp_path / "boots").read_text().count("boot") == 1


def test_a_boot_that_goes_on_is_waited_for(tmp_path: Path) -> None:
    """It is slow, but its console grows."""
    machine, script = machine_of(tmp_path, 0)
    slow = f"for i in 1 2 3 4 5 6 7 8; do echo $i >>{machine.console}; sleep 0.5; done\n"
    script.write_text(slow + script.read_text())
    assert vm.run(machine, script, DEADLINE) == 5
    assert (tmp_path / "boots").read_text().count("boot") == 1
