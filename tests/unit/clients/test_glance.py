# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks at mapped files: what they hold, of many at once, and no death when one has shrunk."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer.clients.glance import Glance
from tracer.clients.log_file import BLOCK_BYTES, Block

PAGE = 4096


@pytest.fixture
def glance() -> Iterator[Glance]:
    glance = Glance()
    yield glance
    glance.close()


def mapped(path: Path, content: bytes = b"") -> Block:
    path.write_bytes(content.ljust(BLOCK_BYTES, b"\0"))
    fd = os.open(path, os.O_RDONLY)
    try:
        return Block.of(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("count", [0, 1, 23, 1024, 1025, 2053])
def test_words_of_many_files(glance: Glance, tmp_path: Path, count: int) -> None:
    blocks = [mapped(tmp_path / f"{n % 23}", struct.pack("<Q", n << 33)) for n in range(23)]
    views = [memoryview(blocks[n % 23])[4:8] for n in range(count)]
    assert glance.words(views).tolist() == [n % 23 * 2 for n in range(count)]


@pytest.mark.parametrize("shrunk", [0, 5, 1023, 1024, 1099])
def test_a_file_that_has_shrunk_among_many(glance: Glance, tmp_path: Path, shrunk: int) -> None:
    others = mapped(tmp_path / "others", struct.pack("<I", 7))
    gone = mapped(tmp_path / "gone", struct.pack("<I", 7))
    os.truncate(tmp_path / "gone", 0)
    views = [memoryview(gone if n == shrunk else others)[:4] for n in range(1100)]
    assert glance.words(views).tolist() == [1 if n == shrunk else 7 for n in range(1100)]
    with pytest.raises(OSError, match="Bad address"):
        glance.copy(views[shrunk])


@pytest.mark.parametrize("size", [0, 1, 64, PAGE + 1, 1 << 16, (1 << 16) + 1, BLOCK_BYTES])
def test_copies_of_any_size(glance: Glance, tmp_path: Path, size: int) -> None:
    content = os.urandom(BLOCK_BYTES)
    assert glance.copy(memoryview(mapped(tmp_path / "file", content))[:size]) == content[:size]


def test_a_copy_that_ends_beyond_the_file(glance: Glance, tmp_path: Path) -> None:
    view = memoryview(mapped(tmp_path / "file", b"x" * BLOCK_BYTES))
    os.truncate(tmp_path / "file", 3 * PAGE)
    assert glance.copy(view[: 3 * PAGE]) == b"x" * 3 * PAGE
    with pytest.raises(OSError, match="Bad address"):
        glance.copy(view[: 3 * PAGE + 1])
