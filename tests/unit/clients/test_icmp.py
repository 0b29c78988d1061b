# SPDX-License-Identifier: GPL-2.0-or-later
"""The checksum of the pings; the rest needs the module (tests/kernel/test_clients.py)."""

from __future__ import annotations

import pytest

from tracer.clients.icmp import checksum


def test_the_checksum_is_the_one_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@pytest.mark.parametrize("size", [0, 1, 2, 101, 65507])
def test_a_packet_with_its_checksum_sums_to_zero(size: int) -> None:
    body = b"\x08\0\0\0" + bytes(n & 0xFF for n in range(size))
    found = checksum(body)
    assert checksum(body[:2] + found.to_bytes(2, "big") + body[4:]) == 0
