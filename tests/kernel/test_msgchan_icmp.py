# SPDX-License-Identifier: GPL-2.0-or-later
"""The ICMP notifier on netlink protocol 31."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgchan_raw as raw
import pytest
from msgchan_programs import compiled

pytestmark = pytest.mark.usefixtures("msgchan")


@pytest.fixture(scope="module", autouse=True)
def loopback() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def ping(address: str, count: int) -> None:
    subprocess.run(
        ["ping", "-q", "-i", "0.01", "-c", str(count), address],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def acked(sock: socket.socket, kind: int) -> int:
    """The errno the kernel answers to a message of this type."""
    sock.send(raw.message(kind, flags=raw.F_ACK))
    return raw.errno_of(raw.receive(sock))


@contextmanager
def listener() -> Iterator[socket.socket]:
    with raw.opened(raw.ICMP_PROTO) as sock:
        assert acked(sock, raw.U_PID) == 0
        yield sock


def packets(sock: socket.socket) -> list[tuple[str, str]]:
    """Source and destination of what is queued, in order."""
    found = []
    sock.setblocking(False)
    while True:
        try:
            told = raw.receive(sock)
        except BlockingIOError:
            return found
        assert (told.type, told.flags, told.seq, told.pid) == (raw.K_MSG, 0, 0, 0)
        assert len(told.body) == 8
        found.append((socket.inet_ntoa(told.body[:4]), socket.inet_ntoa(told.body[4:])))


def test_every_packet_is_told_with_its_addresses() -> None:
    with listener() as sock:
        ping("127.0.0.2", 3)
        there, back = ("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")
        assert packets(sock) == [there, back] * 3


def test_registering_twice_is_registering_once() -> None:
    with listener() as sock:
        assert acked(sock, raw.U_PID) == 0
        ping("127.0.0.1", 1)
        assert len(packets(sock)) == 2


def test_close_ends_it_and_may_be_repeated() -> None:
    with listener() as sock:
        assert acked(sock, raw.CLOSE) == 0
        assert acked(sock, raw.CLOSE) == 0
        ping("127.0.0.1", 1)
        assert packets(sock) == []


@pytest.mark.parametrize("kind", [raw.K_MSG, 3, 0x10, 0xFFFF])
def test_unknown_type(kind: int) -> None:
    with raw.opened(raw.ICMP_PROTO) as sock:
        assert acked(sock, kind) == errno.EINVAL


def test_other_protocols_are_not_told() -> None:
    with listener() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.sendto(b"x", udp.getsockname())
        udp.recv(1)
        assert packets(sock) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_two_listeners_one_ends(end: signal.Signals) -> None:
    """A listener that is killed is forgotten as one that says goodbye is; the other goes on."""
    program = subprocess.Popen([compiled("icmp_listener")], stdout=subprocess.PIPE, text=True)
    with program, listener() as sock:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        ping("127.0.0.2", 1)
        assert program.stdout.readline() == "src: 127.0.0.1, dest: 127.0.0.2\n"
        assert program.stdout.readline() == "src: 127.0.0.2, dest: 127.0.0.1\n"
        assert len(packets(sock)) == 2

        before = raw.stats()[raw.ICMP]
        program.send_signal(end)
        program.wait()
        ping("127.0.0.1", 2)
        assert len(packets(sock)) == 4
        seen = raw.stats()[raw.ICMP] - before
    closes = 1 if end == signal.SIGINT else 0
    assert seen == raw.Counters(
        requests=closes, request_bytes=16 * closes, replies=4, reply_bytes=4 * 24
    )


def test_a_port_used_again_is_not_forgotten_with_its_predecessor() -> None:
    for _ in range(101):
        with raw.opened(raw.ICMP_PROTO, portid=3_000_017) as sock:
            assert acked(sock, raw.U_PID) == 0
    with raw.opened(raw.ICMP_PROTO, portid=3_000_017) as sock:
        assert acked(sock, raw.U_PID) == 0
        ping("127.0.0.1", 1)
        assert len(packets(sock)) == 2


def test_many_listeners_are_told_and_too_many_refused() -> None:
    socks = [raw.opened(raw.ICMP_PROTO) for _ in range(257)]
    try:
        assert [acked(sock, raw.U_PID) for sock in socks] == [0] * 256 + [errno.ENOSPC]
        ping("127.0.0.1", 1)
        assert [len(packets(sock)) for sock in socks] == [2] * 256 + [0]
    finally:
        for sock in socks:
            sock.close()


FRAGMENTS = """
import subprocess
import msgchan_raw as raw
import test_msgchan_icmp as icmp
subprocess.run("ip link set lo mtu 1500 up", shell=True, check=True)
with icmp.listener() as sock:
    subprocess.run(["ping", "-q", "-c1", "-s4000", "127.0.0.1"], check=True, stdout=-3)
    assert len(icmp.packets(sock)) == 2
"""


def test_fragments_are_one_packet() -> None:
    subprocess.run(
        ["unshare", "-n", sys.executable, "-c", FRAGMENTS],
        check=True,
        cwd=Path(__file__).parent,
    )


def test_a_full_listener_does_not_hold_the_others_up() -> None:
    with listener() as full, listener() as sock:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        before = raw.stats()[raw.ICMP]
        ping("127.0.0.1", 23)
        assert len(packets(sock)) == 46
        seen = raw.stats()[raw.ICMP] - before
        assert seen.replies + seen.errors == 2 * 46
        assert seen.errors > 0
