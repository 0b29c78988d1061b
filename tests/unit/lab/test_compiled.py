# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiled code of emulated guests: programs in the guest look where the host compiles to.

That nothing is left to compile then is tested in ``tests/unit/correlate/onepass/test_ahead.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tracer.lab import compiled
from tracer.resources import runs_directory

LOOK = """
import sys
import llvmlite.binding as binding
binding.get_host_cpu_name = lambda: sys.argv[1]
from tracer.correlate.onepass.compiled import directory
print(directory())
"""


def place(cpu: str, environment: dict[str, str]) -> Path:
    """Where a process on such a CPU keeps the compiled pass."""
    told = subprocess.run(
        [sys.executable, "-c", LOOK, cpu],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(told.stdout.strip())


def test_the_guest_looks_where_the_host_compiled_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    called = []

    def run(command: list[str], *, env: dict[str, str], check: bool) -> None:
        assert (command[1:], check) == (["-m", "tracer.correlate.onepass.ahead"], True)
        called.append(place("the host's", env))

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", run_of(run))
        compiled.fill(tmp_path)
    seen = place("the guest's", {**os.environ, **compiled.environment(tmp_path)})
    assert called == [seen]
    assert seen.is_relative_to(tmp_path / "lab" / "compiled")


def run_of(replacement: Any) -> Any:
    """``subprocess.run`` that leaves the programs of this test as they are."""
    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        return (real if "-c" in command else replacement)(command, **options)

    return run


def test_a_failure_to_compile_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(subprocess.CalledProcessError):
        compiled.fill(tmp_path)


@pytest.mark.parametrize("fast", [True, False])
def test_only_emulated_guests_need_it(
    fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[Path] = []
    monkeypatch.setattr("tracer.lab.kernels.choose", lambda _name: "6.1.0")
    monkeypatch.setattr("tracer.lab.kernels.image", lambda version: tmp_path / version)
    monkeypatch.setattr("tracer.lab.kvm.usable", lambda image: fast and image.name == "6.1.0")
    monkeypatch.setattr(compiled, "fill", filled.append)
    compiled.main()
    assert filled == ([] if fast else [runs_directory()])
