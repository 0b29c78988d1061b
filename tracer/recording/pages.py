# SPDX-License-Identifier: GPL-2.0-or-later
"""How large the pages of a Parquet file are by their own headers, whatever its footer says.

A page is decompressed to the size that its header tells, before it is compared with anything.
No library gives the headers away, so the few numbers are read here: a header is a struct in
thrift's compact protocol, https://github.com/apache/parquet-format (``PageHeader``).
"""

from __future__ import annotations

from typing import Any, BinaryIO

_HEADER = 4096
"""Bytes in which a page's header must end; a recorder's take some 50."""
_UNCOMPRESSED, _COMPRESSED = 2, 3
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_INTEGERS = (4, 5, 6)


def decompressed_bytes(file: BinaryIO, column: Any) -> int:
    """The size of all pages of a column chunk (its metadata in the footer) when decompressed.

    Raises ``ValueError`` for what is no row of pages.
    """
    at = column.data_page_offset
    if column.dictionary_page_offset:
        at = min(at, column.dictionary_page_offset)
    end = at + column.total_compressed_size
    total = 0
    while at < end:
        file.seek(at)
        try:
            numbers, length = _struct(file.read(_HEADER), 0)
            uncompressed, compressed = numbers[_UNCOMPRESSED], numbers[_COMPRESSED]
        except (IndexError, KeyError, RecursionError):
            raise ValueError(f"there is no page at byte {at}") from None
        if min(uncompressed, compressed) < 0:
            raise ValueError(f"the page at byte {at} has a negative size")
        total += uncompressed
        at += length + compressed
    return total


def _struct(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """The integers of a struct by the number of their field, and where the struct ends."""
    found: dict[int, int] = {}
    field = 0
    while data[at]:
        step, kind = data[at] >> 4, data[at] & 15
        at += 1
        if step:
            field += step
        else:
            field, at = _integer(data, at)
        if kind in _INTEGERS:
            found[field], at = _integer(data, at)
        elif kind == _STRUCT:
            _, at = _struct(data, at)
        elif kind == _BINARY:
            length, at = _varint(data, at)
            at += length
        elif kind in (_TRUE, _FALSE, _BYTE, _DOUBLE):
            at += {_BYTE: 1, _DOUBLE: 8}.get(kind, 0)
        else:
            raise KeyError(kind)
    return found, at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at
