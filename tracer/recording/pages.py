# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the sizes of a Parquet file's pages from the page headers.

A Parquet library decompresses a page to the size that its header states, before it compares
that size with anything, so a small file can demand a lot of memory. The headers must
therefore be checked beforehand, and no library exposes them. A header is a struct in
thrift's compact protocol (``PageHeader`` in https://github.com/apache/parquet-format);
only its integers are read here.
"""

from __future__ import annotations

from typing import Any, BinaryIO

_HEADER = 4096
"""A page's header must end within so many bytes; those that our recorder writes take some 50."""
_UNCOMPRESSED, _COMPRESSED = 2, 3
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_INTEGERS = (4, 5, 6)


def decompressed_bytes(file: BinaryIO, column: Any) -> int:
    """The uncompressed size in bytes of all pages of a column chunk.

    ``column`` is the chunk's metadata in the footer. Raises ``ValueError`` if there is no
    sequence of pages at that place in the file.
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
    """Parse a struct at byte ``at``: its integers by field number, and the byte after it."""
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
