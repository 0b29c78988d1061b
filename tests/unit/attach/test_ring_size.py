# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes of the ring that the kernel would refuse are refused before, in words."""

from __future__ import annotations

import pytest

from tracer.attach.ring_size import require_ring_size
from tracer.errors import TracerError


@pytest.mark.parametrize("size", [0, 1000, 2048, 5000, 3 << 20])
def test_a_size_that_cannot_be(size: int) -> None:
    with pytest.raises(TracerError, match=f"{size} bytes is no power of two of at least 4096"):
        require_ring_size(size)


@pytest.mark.parametrize("size", [4096, 1 << 24, 1 << 30])
def test_a_size_that_can_be(size: int) -> None:
    require_ring_size(size)
