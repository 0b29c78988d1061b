# SPDX-License-Identifier: GPL-2.0-or-later
"""The system call bpf(2): maps, programs, and raw tracepoints, each a file descriptor.

Structures and numbers are those of the kernel's ``include/uapi/linux/bpf.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

#: The number of bpf(2) on x86-64.
_BPF = 321
_MAP_CREATE, _LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _PROG_LOAD = range(6)
_RAW_TRACEPOINT_OPEN, _BTF_LOAD, _TAKE_BATCH = 17, 18, 25
_NOEXIST = 1
#: Map types whose values exist once for each possible CPU.
_PERCPU = frozenset((5, 6, 10, 21))
RINGBUF = 27
#: Map types that belong to a socket, a task and so on; the kernel wants the types of their
#: keys and values (BTF).
_STORAGE = frozenset((24, 28, 29, 32))
_LOG_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class MapSpec:
    """How a map is made: its type (``enum bpf_map_type``), sizes in bytes, entries and flags."""

    type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


class Map:
    """A map. Keys and values are bytes; values of a per-CPU map those of all possible CPUs.

    Raises OSError when the kernel refuses to make it.
    """

    def __init__(self, name: str, spec: MapSpec) -> None:
        ids = (0, 0, 0)
        if spec.type in _STORAGE:
            ids = (_btf_of_u32(), 1, 1)
        try:
            self.fd = _call(
                _MAP_CREATE,
                struct.pack(
                    "<5I8x16s4x3I",
                    *(spec.type, spec.key_bytes, spec.value_bytes, spec.entries, spec.flags),
                    *(name.encode()[:15], *ids),
                ),
            )
        finally:
            if ids[0]:
                os.close(ids[0])
        self.spec = spec
        size = spec.value_bytes
        if spec.type in _PERCPU:
            size = -(-size // 8) * 8 * _possible_cpus()
        self._key = ctypes.create_string_buffer(spec.key_bytes or 1)
        self._value = ctypes.create_string_buffer(size or 1)

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``, None if there is none."""
        return self._value.raw if self._element(_LOOKUP, key, errno.ENOENT) else None

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value at ``key``. Raises OSError when the map is full."""
        self._value.raw = value
        self._element(_UPDATE, key)

    def insert(self, key: bytes, value: bytes) -> bool:
        """Add a value in one step; False if there is one at ``key`` already.

        Raises OSError when the map is full.
        """
        self._value.raw = value
        return self._element(_UPDATE, key, errno.EEXIST, _NOEXIST)

    def remove(self, key: bytes) -> None:
        """Remove the value at ``key``, if there is one."""
        self._element(_DELETE, key, errno.ENOENT)

    def keys(self) -> list[bytes]:
        """All keys. Others may add and remove meanwhile; those may be among them or not.

        Where the last key has gone meanwhile, the kernel begins anew; so there is a limit.
        """
        found: list[bytes] = []
        after = None
        following = ctypes.create_string_buffer(self.spec.key_bytes)
        while len(found) <= 4 * self.spec.entries:
            if after is not None:
                self._key.raw = after
            where = 0 if after is None else ctypes.addressof(self._key)
            attr = struct.pack("<I4xQQ", self.fd, where, ctypes.addressof(following))
            if _try(_NEXT_KEY, attr) < 0:
                if ctypes.get_errno() != errno.ENOENT:
                    raise _error()
                break
            after = following.raw
            found.append(after)
        return list(dict.fromkeys(found))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys with their values; see :meth:`keys`."""
        for key in self.keys():
            if (value := self.get(key)) is not None:
                yield key, value

    def clear(self) -> None:
        """Remove all values."""
        for key in self.keys():
            self.remove(key)

    def take(self) -> list[bytes]:
        """Remove all values of a hash map and return each as it was when it was removed."""
        if not self.keys():
            return []
        count, size = self.spec.entries, len(self._value)
        keys = ctypes.create_string_buffer(count * self.spec.key_bytes)
        values = ctypes.create_string_buffer(count * size)
        after = ctypes.create_string_buffer(8)
        pointers = (0, *map(ctypes.addressof, (after, keys, values)))
        attr = ctypes.create_string_buffer(struct.pack("<4QIIQQ", *pointers, count, self.fd, 0, 0))
        # ENOENT says that it has come to the end of the map.
        ended = _libc.syscall(_BPF, _TAKE_BATCH, attr, len(attr.raw) - 1) < 0
        if ended and ctypes.get_errno() != errno.ENOENT:
            raise _error()
        (found,) = struct.unpack_from("<I", attr.raw, 32)
        return [values.raw[at * size : (at + 1) * size] for at in range(found)]

    def close(self) -> None:
        """Give the map back; it lives on as long as a program uses it."""
        os.close(self.fd)

    def _element(self, command: int, key: bytes, no: int = 0, flags: int = 0) -> bool:
        """Whether the command succeeded; False for the error ``no``. Raises OSError for others."""
        self._key.raw = key
        attributes = struct.pack("<I4xQ", self.fd, ctypes.addressof(self._key))
        if command != _DELETE:  # which refuses what it does not need
            attributes += struct.pack("<QQ", ctypes.addressof(self._value), flags)
        if _try(command, attributes) >= 0:
            return True
        if ctypes.get_errno() != no:
            raise _error()
        return False


class RefusedError(Exception):
    """The kernel refused a program; the text is the last thing that its verifier said."""


def load_program(
    name: str, kind: int, instructions: bytes, attach: tuple[int, int] = (0, 0)
) -> int:
    """Load a program of type ``kind`` (``enum bpf_prog_type``); returns its descriptor.

    ``attach`` are, for a program at a kernel function, ``enum bpf_attach_type`` and the
    function's id in the kernel's BTF. Raises RefusedError.
    """
    code = np.frombuffer(instructions, np.uint8).copy()
    license_ = ctypes.create_string_buffer(b"GPL")
    where, which = attach

    def attributes(log: tuple[int, int, int]) -> bytes:
        return struct.pack(
            "<IIQQIIQII16sIIIIQIIQII",
            *(kind, len(instructions) // 8, code.ctypes.data, ctypes.addressof(license_)),
            *log,
            *(0, 0, name.encode()[:15], 0, where),
            *(0, 0, 0, 0, 0, 0, 0, which),
        )

    fd = _try(_PROG_LOAD, attributes((0, 0, 0)))
    if fd >= 0:
        return fd
    reason = os.strerror(ctypes.get_errno())
    log = ctypes.create_string_buffer(_LOG_BYTES)
    fd = _try(_PROG_LOAD, attributes((1, _LOG_BYTES, ctypes.addressof(log))))
    if fd >= 0:
        return fd
    said = log.value.decode(errors="replace").strip().splitlines()
    lines = [line for line in said if not line.startswith(("processed ", "verification time"))]
    raise RefusedError(": ".join([f"program {name}: {reason}", *lines[-1:]]))


def attach_program(program: int, tracepoint: str = "") -> int:
    """Attach a program to a raw tracepoint, or where it was loaded for; returns a descriptor.

    It stays attached until that is closed. Raises OSError.
    """
    name = ctypes.create_string_buffer(tracepoint.encode())
    where = ctypes.addressof(name) if tracepoint else 0
    return _call(_RAW_TRACEPOINT_OPEN, struct.pack("<QI", where, program))


def raise_memlock_limit(release: str) -> None:
    """Allow this process any number of maps, where the kernel counts them as locked memory.

    ``release`` is the kernel's, as ``uname -r`` prints it. Since 5.11 maps are charged to the
    memory cgroup instead (Linux 5.11, "bpf: Eliminate rlimit-based memory accounting"); then
    the limit stays as it is, because a traced command inherits it.
    """
    version = re.match(r"(\d+)\.(\d+)", release)
    if version and (int(version[1]), int(version[2])) >= (5, 11):
        return
    _soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    for limit in (resource.RLIM_INFINITY, hard):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
            return


def _try(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return int(_libc.syscall(_BPF, command, buffer, len(attributes)))


def _call(command: int, attributes: bytes) -> int:
    fd = _try(command, attributes)
    if fd < 0:
        raise _error()
    return fd


def _error() -> OSError:
    return OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _btf_of_u32() -> int:
    """The descriptor of type information that has one type, with the id 1: ``unsigned int``.

    See the kernel's ``Documentation/bpf/btf.rst``.
    """
    names = b"\0unsigned int\0"
    kind_int = 1 << 24
    types = struct.pack("<IIII", 1, kind_int, 4, 32)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    data = ctypes.create_string_buffer(header + types + names, 24 + len(types) + len(names))
    return _call(_BTF_LOAD, struct.pack("<QQII", ctypes.addressof(data), 0, len(data), 0))


def _possible_cpus() -> int:
    """How many CPUs the kernel has room for: a per-CPU map has a value for each."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        last = file.read().strip().rpartition(",")[2].rpartition("-")[2]
    return int(last) + 1
