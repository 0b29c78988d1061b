# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiled probes as they are kept, and which file is as good as none."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tracer.attach.bpf import MapSpec
from tracer.attach.compiled import Compiled, function_of, kept, key_of

SLOTS = MapSpec(type=2, key_bytes=4, value_bytes=8, entries=64, flags=1024)
#: Two of these are one instruction: BPF_LD | BPF_IMM | BPF_DW, of a map's descriptor.
LOAD = struct.pack("<BBhi", 0x18, 0x11, 0, 7) + bytes(8)
#: The same of a number, which only looks like a descriptor; and BPF_EXIT.
NUMBER = struct.pack("<BBhi", 0x18, 0x01, 0, 7) + bytes(8)
EXIT = struct.pack("<BBhi", 0x95, 0, 0, 0)
PROGRAM = Compiled({"slots": SLOTS}, {"f": function_of(NUMBER + LOAD + EXIT, {7: "slots"})})


class Compiler:
    """Makes the program, and counts how often."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> Compiled:
        self.runs += 1
        return PROGRAM


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tracer" / "bpf"


def test_only_loads_of_maps_are_linked() -> None:
    assert PROGRAM.functions["f"].maps == {2: "slots"}
    linked = PROGRAM.functions["f"].linked({"slots": 41})
    assert linked == NUMBER + LOAD[:4] + struct.pack("<i", 41) + LOAD[8:] + EXIT


def test_it_is_compiled_once(cache: Path) -> None:
    compiler = Compiler()
    assert [kept("key", compiler), kept("key", compiler)] == [PROGRAM, PROGRAM]
    assert compiler.runs == 1
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_it_is_compiled_from_is_its_name() -> None:
    assert key_of(["text", "-DA=1"]) != key_of(["text", "-DA=2"])
    assert key_of(["text", "-DA=1"]) == key_of(["text", "-DA=1"])


def _other_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _writable(path: Path) -> None:
    path.chmod(0o620)


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".there"))
    path.symlink_to(path.with_suffix(".there"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _of_another_user(path: Path) -> None:
    os.chown(path, 65534, 65534)


@pytest.mark.parametrize("spoil", [_other_bit, _shorter, _writable, _link, _pipe, _of_another_user])
def test_a_file_that_is_not_what_we_wrote_is_as_good_as_none(
    cache: Path, spoil: Callable[[Path], None]
) -> None:
    compiler = Compiler()
    kept("key", compiler)
    spoil(cache / "key.json")
    assert kept("key", compiler) == PROGRAM
    assert compiler.runs == 2
    assert kept("key", compiler) == PROGRAM
    assert compiler.runs == 2


def test_where_nothing_can_be_kept_it_is_compiled_each_time(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the directory should be")
    compiler = Compiler()
    assert [kept("key", compiler), kept("key", compiler)] == [PROGRAM, PROGRAM]
    assert compiler.runs == 2


def test_the_oldest_go(cache: Path) -> None:
    compiler = Compiler()
    for number in range(18):
        kept(f"key{number}", compiler)
        os.utime(cache / f"key{number}.json", (number, number))
    names = {path.stem for path in cache.iterdir()}
    assert len(names) <= 17
    assert {"key16", "key17"} <= names
    assert "key0" not in names
