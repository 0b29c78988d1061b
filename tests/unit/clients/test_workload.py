# SPDX-License-Identifier: GPL-2.0-or-later
"""What a workload is made of, and what is refused before the module is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tracer.clients.workload import Workload, token
from tracer.errors import TracerError


def test_tokens_differ_by_every_part() -> None:
    channels = ("netlink", "setsockopt", "getsockopt", "icmp")
    found = [token(1, c, t, i) for c in channels for t in range(7) for i in range(101)]
    assert len(set(found)) == len(found)
    assert all(0 < t < 2**64 for t in found)
    assert token(1, "netlink", 0, 0) == token(1, "netlink", 0, 0) != token(2, "netlink", 0, 0)


def test_a_seed_may_be_negative_or_large() -> None:
    assert 0 < token(-1, "icmp", 0, 0) < 2**64
    assert token(2**64 + 5, "icmp", 0, 0) == token(5, "icmp", 0, 0)


def test_an_echo_is_expected_cut_or_filled() -> None:
    assert Workload(size=4).expected(1) == b"\1\2\3\4"
    assert Workload(size=4, reply_size=2).expected(1) == b"\1\2"
    assert Workload(size=2, reply_size=4).expected(1) == b"\1\2\0\0"
    assert Workload(size=2, reply_size=4, op="source").expected(1) == b"\1\2\3\4"
    assert Workload(size=2, op="sink").expected(1) == b""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"handler_delay_ns": 10_000_001}, "a handler delay of 10 ms: the module takes at most"),
        ({"reply_delay_ns": 11_000_000}, "a reply delay of 11 ms"),
        ({"copy_delay_ns": -1}, "a copy delay"),
        ({"size": 65537}, "a size of 65537 bytes: the module takes at most 65536"),
        ({"reply_size": 65537, "channels": ("netlink",)}, "a reply size of 65537 bytes"),
        ({"size": 65508}, "pings of 65508 bytes: IP carries at most 65507"),
        ({"channels": ("netlink", "tipc")}, "channel tipc: there are netlink, sockopt, icmp"),
        ({"op": "shout"}, "operation shout"),
        ({"count": 0}, "at least one request"),
        ({"threads": 251}, "1 to 250 threads"),
        ({"rate": 0.0}, "a rate of 0: it must be above zero"),
    ],
)
def test_what_the_module_would_refuse_is_refused_before(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(TracerError, match=told):
        Workload(**changed).check()
