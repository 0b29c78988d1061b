# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiled probes, and where they are kept: compiling takes most of a recorder's start.

They are kept below the user's cache, by a hash of all that they were compiled from. A file that
is damaged, or that someone else could have written, is as good as none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tracer.attach.bpf import MapSpec
from tracer.resources import compiled_dir

#: How many programs are kept: each plan of sites makes another one.
_KEPT = 16
#: ``struct bpf_insn`` of include/uapi/linux/bpf.h; ``registers`` are two of four bits.
_INSTRUCTION = np.dtype([("code", "u1"), ("registers", "u1"), ("offset", "<i2"), ("value", "<i4")])


@dataclass(frozen=True)
class Function:
    """A program: its instructions, and the map that each of some instructions loads."""

    instructions: bytes
    maps: dict[int, str]

    def linked(self, descriptors: dict[str, int]) -> bytes:
        """The instructions with these maps' descriptors."""
        code = np.frombuffer(self.instructions, _INSTRUCTION).copy()
        for index, name in self.maps.items():
            code["value"][index] = descriptors[name]
        return code.tobytes()


@dataclass(frozen=True)
class Compiled:
    """All programs of the probes and their maps, by name."""

    maps: dict[str, MapSpec]
    functions: dict[str, Function]


def function_of(instructions: bytes, names: dict[int, str]) -> Function:
    """A program whose instructions name maps by descriptor; ``names`` are the maps of those."""
    code = np.frombuffer(instructions, _INSTRUCTION).copy()
    # BPF_LD | BPF_IMM | BPF_DW with the source BPF_PSEUDO_MAP_FD.
    loads = np.flatnonzero((code["code"] == 0x18) & (code["registers"] >> 4 == 1))
    maps = {int(index): names[int(code["value"][index])] for index in loads}
    code["value"][loads] = 0
    return Function(code.tobytes(), maps)


def key_of(parts: Sequence[str]) -> str:
    """The name under which a program is kept that was compiled from these."""
    uname = os.uname()
    told = [uname.release, uname.version, uname.machine, *parts]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()[:32]


def kept(key: str, make: Callable[[], Compiled]) -> Compiled:
    """The program that is kept under ``key``, or a new one that is kept from now on.

    Where nothing can be kept, such as on a full disk, each call makes a new one.
    """
    directory = compiled_dir("bpf")
    path = directory / f"{key}.json"
    found = _read(path)
    if found is None:
        found = make()
        with suppress(OSError):
            _write(path, found)
            _prune(directory)
    return found


def _read(path: Path) -> Compiled | None:
    """What the file holds; None if there is none, it is not ours alone, or it is damaged."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(fd, encoding="ascii") as file:
        about = os.fstat(fd)
        others_write = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if about.st_uid != os.geteuid() or others_write or not stat.S_ISREG(about.st_mode):
            return None
        try:
            checksum, _, text = file.read().partition("\n")
            if checksum != _checksum(text):
                return None
            return _parsed(text)
        except (ValueError, TypeError, KeyError):
            return None


def _parsed(text: str) -> Compiled:
    told = json.loads(text)
    functions = {
        name: Function(
            base64.b64decode(function["instructions"]),
            {int(index): maps for index, maps in function["maps"].items()},
        )
        for name, function in told["functions"].items()
    }
    return Compiled({name: MapSpec(**spec) for name, spec in told["maps"].items()}, functions)


def _write(path: Path, compiled: Compiled) -> None:
    told = {
        "maps": {name: asdict(spec) for name, spec in compiled.maps.items()},
        "functions": {
            name: {
                "instructions": base64.b64encode(function.instructions).decode(),
                "maps": function.maps,
            }
            for name, function in compiled.functions.items()
        },
    }
    text = json.dumps(told)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{_checksum(text)}\n{text}")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _prune(directory: Path) -> None:
    files = sorted(directory.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in files[:-_KEPT]:
        path.unlink(missing_ok=True)
