# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of message types and options against the headers that number them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tracer.correlate.names import PROTOCOLS, netlink_names, sockopt_names

MSGCHAN = (Path(__file__).parents[3] / "kmod" / "msgchan.h").read_text()
NETLINK, ICMP = 25, 26  # not the defaults: a module can be loaded with others


def defined(name: str) -> int:
    """A number that the module's header defines."""
    (value,) = re.findall(rf"#define {name}\s+(\w+)", MSGCHAN)
    return int(value, 0)


def name(proto: int, msg_type: int) -> str:
    (told,) = netlink_names(np.array([proto]), np.array([msg_type]), NETLINK, ICMP)
    return str(told)


def test_protocols_have_the_kernels_names() -> None:
    header = Path("/usr/include/linux/netlink.h").read_text()
    defines = re.findall(r"#define NETLINK_(\w+)\s+(\d+)", header)
    assert {(word.upper(), str(number)) for number, word in PROTOCOLS.items()} <= set(defines)


def test_the_modules_messages_have_the_headers_names() -> None:
    operations = re.findall(r"^\tMSGCHAN_OP_(\w+),", MSGCHAN, re.MULTILINE)
    assert len(operations) == 5
    request, reply = defined("MSGCHAN_TYPE_REQUEST"), defined("MSGCHAN_TYPE_REPLY")
    for number, word in enumerate(operations):
        assert name(NETLINK, request + number) == f"msgchan {word.lower()}"
        assert name(NETLINK, reply + number) == f"msgchan {word.lower()} reply"
    assert name(NETLINK, defined("MSGCHAN_TYPE_TEXT")) == "msgchan text"
    assert name(NETLINK, defined("MSGCHAN_TYPE_TEXT_REPLY")) == "msgchan text reply"
    assert name(ICMP, defined("IMP2_U_PID")) == "msgchan register"
    assert name(ICMP, defined("IMP2_K_MSG")) == "msgchan icmp"
    assert name(ICMP, defined("IMP2_CLOSE")) == "msgchan close"


@pytest.mark.parametrize(
    ("proto", "msg_type", "told"),
    [
        (16, 0x10, "generic 16"),
        (0, 0, "route 0"),
        (0, 1, "route noop"),
        (0, 2, "route error"),
        (0, 3, "route done"),
        (0, 4, "route overrun"),
        (NETLINK, 2, f"netlink {NETLINK} error"),
        (NETLINK, 0x15, f"netlink {NETLINK} 21"),
        (ICMP, 3, f"netlink {ICMP} done"),
        (30, 0x10, "netlink 30 16"),
    ],
)
def test_what_is_not_the_modules_has_its_protocols_name(
    proto: int, msg_type: int, told: str
) -> None:
    assert name(proto, msg_type) == told


def test_options_count_from_the_modules_base() -> None:
    base = 20_000
    words = np.array([base + defined(f"MSGCHAN_SO_{word}") for word in ("TEXT", "REQUEST")])
    told = sockopt_names(np.append(words, [base - 1, base + defined("MSGCHAN_SO_COUNT")]), base)
    assert told.tolist() == ["msgchan text", "msgchan request", "option 19999", "option 20002"]
