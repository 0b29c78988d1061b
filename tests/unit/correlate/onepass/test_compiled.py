# SPDX-License-Identifier: GPL-2.0-or-later
"""Where compiled functions are kept, and for what: stale ones would make wrong numbers."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from call_builder import CALLS, Traffic

from tracer.correlate.exchanges import correlate
from tracer.correlate.onepass import compiled

pytest.importorskip("numba")


def test_what_was_compiled_is_known_to_be_of_this_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's guest sees the same files, and has another CPU."""
    traffic = Traffic(0)
    traffic.play(exchanges=10, threads=2)
    rows = traffic.calls.frames()
    correlate({kind: rows[kind] for kind in CALLS}, rows["sends"], rows["tasks"], {}, fast=True)
    assert compiled.is_compiled()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: Path.home().stat().st_uid + 1)
        assert not compiled.is_compiled(), "it would not be loaded"
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "another")
    assert not compiled.is_compiled()


def test_what_was_compiled_for_any_cpu_is_for_any_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """With numba's variables set, as in the lab's guest, the CPU that runs it does not matter."""
    monkeypatch.setattr("numba.config.CPU_NAME", "generic")
    monkeypatch.setattr("numba.config.CPU_FEATURES", "")
    before = compiled.directory()
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "another")
    assert compiled.directory() == before
    monkeypatch.setattr("numba.config.CPU_FEATURES", "+avx2")
    assert compiled.directory() != before


@pytest.mark.parametrize("name", compiled._MODULES)
def test_a_change_of_any_function_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of one that only the others call."""
    before, source = compiled.directory(), inspect.getsource

    def changed(module: ModuleType) -> str:
        return source(module) + "#" * module.__name__.endswith(f".{name}")

    monkeypatch.setattr(inspect, "getsource", changed)
    assert compiled.directory() != before


@pytest.mark.parametrize("constant", ["nesting.N_ASTRAY", "joining.NLM_F_ACK", "log.RECEIVE"])
def test_a_change_of_a_constant_is_noticed(constant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes from: compiled code has its value in it."""
    before = compiled.directory()
    monkeypatch.setattr(f"tracer.correlate.onepass.{constant}", 1 << 20)
    assert compiled.directory() != before


def test_another_checkout_has_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """numba would not load what was compiled for a file elsewhere, and compile it again."""
    before = compiled.directory()
    monkeypatch.setattr(compiled, "__file__", f"/elsewhere/{Path(compiled.__file__).name}")
    assert compiled.directory() != before


class Numba(SimpleNamespace):
    """Notes where compiled code would be kept: nowhere, the directory, or where numba chooses."""

    def __init__(self) -> None:
        super().__init__(config=SimpleNamespace(CACHE_DIR="the user's"), kept=[])

    def njit(self, *, _nrt: bool, cache: bool = False) -> Any:
        """As numba's."""
        self.kept.append(self.config.CACHE_DIR if cache else "nowhere")
        return lambda function: function


@pytest.mark.parametrize(("keep", "kept"), [(Path("/ours"), "/ours"), (None, "nowhere")])
def test_code_is_kept_by_us_or_not_at_all(keep: Path | None, kept: str) -> None:
    """The user's own functions stay where they are."""
    numba: Any = Numba()
    assert compiled._compiler(numba, keep)(len) is len
    assert (numba.kept, numba.config.CACHE_DIR) == ([kept], "the user's")


def test_a_directory_that_somebody_else_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are code."""
    assert compiled._made(tmp_path / "onepass" / "a") == tmp_path / "onepass" / "a"
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert compiled._made(tmp_path / "onepass" / "a") is None


def test_where_no_directory_can_be_made_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "onepass").touch()
    assert compiled._made(tmp_path / "onepass" / "a") is None


def test_what_is_kept_for_old_sources_goes(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}").mkdir()
        os.utime(tmp_path / f"{number}", (number, number))
    assert compiled._made(tmp_path / "new") == tmp_path / "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6", "7", "8", "new"]
