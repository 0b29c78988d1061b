# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recording says of the machine it was made on."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

import tracer
from tracer.recorder import machine

KEYS = [
    "host", "boot_id", "kernel", "machine", "cpus", "netns", "tracer", "started", "clock", "module",
]  # fmt: skip


def test_the_description() -> None:
    said = machine.describe()
    assert list(said) == KEYS
    assert json.loads(json.dumps(said)) == said
    assert said["kernel"] == os.uname().release
    assert said["machine"] == os.uname().machine
    assert said["netns"] == os.stat("/proc/self/ns/net").st_ino
    assert said["tracer"] == tracer.__version__
    assert datetime.fromisoformat(said["started"]).utcoffset() is not None
    assert set(said["clock"]) == {"name", "source", "deterministic"}
    assert said["clock"]["name"] == "CLOCK_MONOTONIC"
    assert len(said["boot_id"]) == 36


@pytest.mark.parametrize(("value", "known"), [("1", True), ("0", False), ("", False)])
def test_a_deterministic_lab_says_so(
    monkeypatch: pytest.MonkeyPatch, value: str, known: bool
) -> None:
    monkeypatch.setenv(machine.DETERMINISTIC, value)
    assert machine.describe()["clock"]["deterministic"] is known


def test_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_MODULE", tmp_path / "msgchan")
    assert machine.module() is None


def test_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_MODULE", tmp_path)
    (tmp_path / "srcversion").write_text("53EDE4CAFCD044775FFB52B\n")
    (tmp_path / "notes").mkdir()
    note = b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0\xde\xad\xbe\xef"
    (tmp_path / "notes" / ".note.gnu.build-id").write_bytes(note)
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters" / "sockopt_base").write_text("10128\n")
    (tmp_path / "parameters" / "icmp_proto").write_text("31\n")
    assert machine.module() == {
        "srcversion": "53EDE4CAFCD044775FFB52B",
        "build_id": "deadbeef",
        "parameters": {"icmp_proto": "31", "sockopt_base": "10128"},
    }


def test_a_module_built_without_a_build_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_MODULE", tmp_path)
    assert machine.module() == {"srcversion": "", "build_id": "", "parameters": {}}
