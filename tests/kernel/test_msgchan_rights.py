# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may ask what, and of which network namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgchan_raw as raw
import pytest

pytestmark = pytest.mark.usefixtures("msgchan")

NOBODY = ("setpriv", "--reuid=65534", "--clear-groups")
CONTAINER = ("unshare", "--user", "--map-root-user", "--net")

COMMON = """
import errno, socket
import msgchan_raw as raw

def fails(call, *args, **fields):
    try:
        call(*args, **fields)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None

def said(proto, kind, body=b""):
    with raw.opened(proto) as sock:
        sock.send(raw.message(kind, body, flags=raw.F_ACK))
        reply = raw.receive(sock)
        return errno.errorcode.get(raw.errno_of(reply)) if reply.type == 2 else "answered"

udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
"""

WITHOUT_RIGHTS = """
assert said(raw.PROTO, raw.TEXT) == "EPERM"
assert said(raw.PROTO, raw.REQUEST_TYPE, raw.request(raw.ECHO)) == "EPERM"
assert said(raw.PROTO, raw.REQUEST_TYPE + raw.STATS, raw.request(raw.STATS)) == "EPERM"
assert said(raw.PROTO, raw.REQUEST_TYPE + raw.PORTS, raw.request(raw.PORTS)) == "EPERM"
assert said(raw.PROTO, 0xffff) == "EPERM"
assert said(raw.ICMP_PROTO, raw.U_PID) == "EPERM"
assert said(raw.ICMP_PROTO, raw.CLOSE) == "EPERM"
assert fails(udp.setsockopt, 0, raw.SOCKOPT, b"text") == "EPERM"
assert fails(raw.getsockopt, udp, raw.SOCKOPT, b"", 64) == "EPERM"
assert fails(udp.setsockopt, 0, raw.SOCKOPT + 1, raw.request(raw.SINK)) == "EPERM"
assert fails(raw.get, udp, raw.ECHO) == "EPERM"
assert fails(raw.get, udp, raw.STATS) == "EPERM"
"""

IN_A_CONTAINER = """
assert raw.stats() == [raw.Counters()] * 4
assert raw.ports() == {0: raw.Counters()}
assert said(raw.PROTO, raw.TEXT) == "answered"
assert said(raw.ICMP_PROTO, raw.U_PID) is None
udp.setsockopt(0, raw.SOCKOPT, b"text of a container")
udp.setsockopt(0, raw.SOCKOPT + 1, raw.request(raw.SINK))
assert raw.getsockopt(udp, raw.SOCKOPT, b"", 64).startswith(b"----")
with raw.opened() as sock:
    assert raw.ask(sock, raw.ECHO, b"abc", reply_size=3) == b"abc"
    for delays in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert fails(raw.ask, sock, raw.ECHO, delays=delays) == "EPERM"
        assert fails(raw.get, udp, raw.ECHO, delays=delays) == "EPERM"
        body = raw.request(raw.SINK, delays=delays)
        assert fails(udp.setsockopt, 0, raw.SOCKOPT + 1, body) == "EPERM"
seen = raw.stats()
assert [(c.requests, c.errors) for c in seen] == [(5, 3), (4, 3), (5, 3), (1, 0)], seen
assert sum(c.requests for c in raw.ports().values()) == 5
"""


def run(prefix: tuple[str, ...], script: str) -> None:
    command = [*prefix, sys.executable, "-c", COMMON + script]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)


def test_every_request_takes_net_admin() -> None:
    before = raw.stats()
    run(NOBODY, WITHOUT_RIGHTS)
    after = raw.stats()
    counted = [(now - then).requests for now, then in zip(after, before, strict=True)]
    failed = [(now - then).errors for now, then in zip(after, before, strict=True)]
    assert counted == failed == [2, 2, 3, 2]


def test_a_container_s_root_may_ask_but_not_delay() -> None:
    """In its own namespaces, which have counters and ports of their own; and it may not log."""
    before = raw.stats()
    with open("/dev/kmsg", "rb", buffering=0) as log:
        log.seek(0, 2)
        run(CONTAINER, IN_A_CONTAINER)
        with open("/dev/kmsg", "w") as mark:
            mark.write("test_msgchan_rights: the end\n")
        lines = b""
        while b"test_msgchan_rights: the end" not in lines:
            lines += log.read(8192)
    assert b"text of a container" not in lines
    assert raw.stats() == before


def test_a_container_has_no_say_outside() -> None:
    """Root of a user namespace in the initial network namespace is nobody there."""
    run(("unshare", "--user", "--map-root-user"), WITHOUT_RIGHTS)


def test_root_of_another_network_namespace_is_apart() -> None:
    before = raw.stats()
    run(("unshare", "--net"), "said(raw.PROTO, raw.TEXT)\nassert raw.stats()[2].requests == 1\n")
    assert raw.stats() == before
