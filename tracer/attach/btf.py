# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads field offsets and function arguments from the running kernel's BTF (its type information).

The probes need some twenty offsets (``sk_buff.data``, ``netlink_sock.portid``, …).
With offsets from BTF they need almost no kernel headers, which makes them compile in
seconds, and they can read structures that are in no header package (``struct
netlink_sock`` is private to ``net/netlink``). The format is described in the kernel's
``Documentation/bpf/btf.rst``.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tracer.errors import TracerError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_INT, _ARRAY, _STRUCT, _UNION, _ENUM = 1, 3, 4, 5, 6
_FUNC, _FUNC_PROTO, _VAR, _DATASEC, _DECL_TAG, _ENUM64 = 12, 13, 14, 15, 17, 19
# How many bytes follow the 12-byte header of a type, by its kind: a fixed number, and a number
# for each of its elements (the header's ``vlen`` says how many it has).
_FIXED = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_PER_ELEMENT = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}


class Btf:
    """The types of one kernel image.

    Raises :class:`TracerError` when the bytes are no BTF, or BTF of the other byte order.
    """

    def __init__(self, data: bytes) -> None:
        try:
            magic, _version, _flags, hdr_len = struct.unpack_from("<HBBI", data)
            type_off, type_len, str_off, str_len = struct.unpack_from("<IIII", data, 8)
        except struct.error as error:
            raise _unreadable(str(error)) from error
        if magic != _MAGIC:
            raise _unreadable(f"magic {magic:#x}, expected {_MAGIC:#x}")
        if len(data) < hdr_len + max(type_off + type_len, str_off + str_len):
            raise _unreadable(f"it ends too early: {len(data)} bytes")
        self._types = data[hdr_len + type_off : hdr_len + type_off + type_len]
        self._strings = data[hdr_len + str_off : hdr_len + str_off + str_len]
        try:
            self._structs, self._functions, self._at = self._index()
        except (struct.error, ValueError) as error:
            raise _unreadable(f"it ends too early: {error}") from error

    @staticmethod
    def of_running_kernel() -> Btf:
        """The BTF that the running kernel exports; TracerError when it exports none."""
        try:
            return _kept(VMLINUX)
        except OSError as error:
            raise TracerError(
                "cannot read the kernel's type information",
                f"{VMLINUX}: {error.strerror}",
                "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian's are)",
            ) from error

    def functions(self) -> set[str]:
        """Names of the functions in BTF: only to these can fentry and fexit programs attach."""
        return set(self._functions)

    def function_id(self, function: str) -> int:
        """The id by which a program is attached to a function. Raises ``KeyError``."""
        return bisect_left(self._at, self._functions[function], lo=1)

    def slots(self, function: str) -> int:
        """The number of 8-byte argument slots of ``function`` in an fentry program's context.

        A structure that is passed by value in two registers takes two slots (kernel commit
        720e6a435194, v6.1). Raises ``KeyError`` when the function is not in BTF.
        """
        _name, _info, proto = struct.unpack_from("<III", self._types, self._functions[function])
        at = self._at[proto]
        _name, info, _ret = struct.unpack_from("<III", self._types, at)
        slots = 0
        for i in range(info & 0xFFFF):
            _name, type_id = struct.unpack_from("<II", self._types, at + 12 + 8 * i)
            slots += self._width(type_id)
        return slots

    def _width(self, type_id: int) -> int:
        at = self._at[self._resolve(type_id)]
        _name, info, size = struct.unpack_from("<III", self._types, at)
        return max(1, (size + 7) // 8) if info >> 24 & 0x1F in (_STRUCT, _UNION) else 1

    def offset(self, path: str) -> int:
        """Byte offset of a field such as ``"sock.__sk_common.skc_net"``.

        Members of an anonymous struct or union are named as if they were members of the
        structure that contains it. Raises ``KeyError`` with the path when a structure or
        member is missing, or the field is a bit field.
        """
        first, *members = path.split(".")
        try:
            at, total = self._structs[first], 0
            for member in members:
                bits, type_id = self._member(at, member)
                total += bits
                at = self._at[self._resolve(type_id)]
        except KeyError as error:
            raise KeyError(path) from error
        if total % 8:
            raise KeyError(f"{path} is a bit field")
        return total // 8

    def _index(self) -> tuple[dict[str, int], dict[str, int], list[int]]:
        structs: dict[str, int] = {}
        functions: dict[str, int] = {}
        positions = [0]
        header = struct.Struct("<III")
        at, end = 0, len(self._types)
        while at < end:
            name, info, _size = header.unpack_from(self._types, at)
            kind, vlen = info >> 24 & 0x1F, info & 0xFFFF
            positions.append(at)
            if kind == _STRUCT:
                structs.setdefault(self._string(name), at)
            elif kind == _FUNC:
                functions.setdefault(self._string(name), at)
            at += 12 + _FIXED.get(kind, 0) + _PER_ELEMENT.get(kind, 0) * vlen
        return structs, functions, positions

    def _string(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(b"\0", offset)].decode()

    def _members(self, at: int) -> Iterator[tuple[str, int, int]]:
        _name, info, _size = struct.unpack_from("<III", self._types, at)
        bitfields = info >> 31
        for i in range(info & 0xFFFF):
            name, type_id, offset = struct.unpack_from("<III", self._types, at + 12 + 12 * i)
            yield self._string(name), type_id, offset & 0xFFFFFF if bitfields else offset

    def _member(self, at: int, wanted: str) -> tuple[int, int]:
        for name, type_id, bits in self._members(at):
            if name == wanted:
                return bits, type_id
            if name == "":
                try:
                    inner, found = self._member(self._at[self._resolve(type_id)], wanted)
                except KeyError:
                    continue
                return bits + inner, found
        raise KeyError(wanted)

    def _resolve(self, type_id: int) -> int:
        """The type behind typedef, const, volatile, restrict and type tags."""
        while True:
            _name, info, target = struct.unpack_from("<III", self._types, self._at[type_id])
            if info >> 24 & 0x1F not in (8, 9, 10, 11, 18):
                return type_id
            type_id = target


@cache
def _kept(path: Path) -> Btf:
    """What a file holds that does not change: it is read once."""
    return Btf(path.read_bytes())


def _unreadable(why: str) -> TracerError:
    return TracerError(
        "cannot read the kernel's type information", why, "run on a kernel with valid BTF"
    )
