# SPDX-License-Identifier: GPL-2.0-or-later
"""The socket options: plain text, structured requests, wrong lengths, counters."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import socket
import time
from collections.abc import Iterator

import msgchan_raw as raw
import pytest

pytestmark = pytest.mark.usefixtures("msgchan")

KERNEL_TEXT = b"--------kernel---------\0"


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        yield opened


@pytest.mark.parametrize("room", [0, 1, 23, 24, 25, 64, 4096])
def test_text_is_cut_to_the_room(sock: socket.socket, room: int) -> None:
    assert raw.getsockopt(sock, raw.SOCKOPT, b"", room) == KERNEL_TEXT[:room]


@pytest.mark.parametrize("size", [0, 1, 27, 63, 64, 65, 4096])
def test_text_of_any_length_is_taken(sock: socket.socket, size: int) -> None:
    sock.setsockopt(0, raw.SOCKOPT, b"x" * size)


def test_set_text_is_logged_with_its_control_characters_escaped(sock: socket.socket) -> None:
    with open("/dev/kmsg", "rb", buffering=0) as log:
        log.seek(0, 2)
        sock.setsockopt(0, raw.SOCKOPT, b"a\n\x1b[2J<0>b")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            line = log.read(4096)
            if b"set" in line and b"msgchan" in line:
                break
    assert rb'set "a\n\e[2J<0>b"' in line.replace(b"\\x5c", b"\\")


@pytest.mark.parametrize("size", [0, 1, 4095, 65_000])
def test_echo(sock: socket.socket, size: int) -> None:
    payload = random.Random(size).randbytes(size)
    assert raw.get(sock, raw.ECHO, payload, reply_size=size, token=77) == payload
    assert raw.get(sock, raw.ECHO, payload, reply_size=size + 3) == payload + bytes(3)
    assert raw.get(sock, raw.ECHO, payload, reply_size=size // 2) == payload[: size // 2]


def test_source_and_sink(sock: socket.socket) -> None:
    wanted = bytes((3 + i) % 256 for i in range(509))
    assert raw.get(sock, raw.SOURCE, token=3, reply_size=509) == wanted
    assert raw.get(sock, raw.SINK, bytes(100)) == b""


def test_reply_is_cut_to_the_room_and_says_how_long_it_was(sock: socket.socket) -> None:
    reply = raw.getsockopt(sock, raw.SOCKOPT + 1, raw.request(raw.SOURCE, reply_size=1000))
    assert len(reply) == raw.REQUEST.size
    assert raw.REPLY.unpack_from(reply)[2] == 1000


@pytest.mark.parametrize(
    ("op", "fields", "expected"),
    [
        (raw.ECHO, {"error": errno.ENODATA}, errno.ENODATA),
        (raw.ECHO, {"error": 5000}, errno.EINVAL),
        (raw.ECHO, {"reply_size": raw.PAYLOAD_MAX + 1}, errno.EMSGSIZE),
        (raw.ECHO, {"payload_size": 4096}, errno.EINVAL),
        (raw.ECHO, {"payload_size": 2**32 - 1}, errno.EMSGSIZE),
        (raw.ECHO, {"delays": (0, 0, raw.DELAY_MAX_NS + 1)}, errno.EINVAL),
        (5, {}, errno.EINVAL),
        (2**32 - 1, {}, errno.EINVAL),
    ],
)
def test_get_error(sock: socket.socket, op: int, fields: dict[str, object], expected: int) -> None:
    with pytest.raises(OSError, match=os.strerror(expected)):
        raw.getsockopt(sock, raw.SOCKOPT + 1, raw.request(op, **fields))


@pytest.mark.parametrize("op", [raw.SOURCE, raw.STATS, raw.PORTS, 99])
def test_set_takes_echo_and_sink_only(sock: socket.socket, op: int) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        sock.setsockopt(0, raw.SOCKOPT + 1, raw.request(op))


@pytest.mark.parametrize("op", [raw.ECHO, raw.SINK])
def test_set(sock: socket.socket, op: int) -> None:
    sock.setsockopt(0, raw.SOCKOPT + 1, raw.request(op, bytes(1000)))
    with pytest.raises(OSError, match="No data available"):
        sock.setsockopt(0, raw.SOCKOPT + 1, raw.request(op, error=errno.ENODATA))


def test_copy_delay(sock: socket.socket) -> None:
    start = time.monotonic_ns()
    raw.get(sock, raw.ECHO, delays=(3_000_000, 0, 4_000_000))
    assert time.monotonic_ns() - start >= 7_000_000


@pytest.mark.parametrize("delays", [(0, 0, 0), (1, 0, 0), (0, 0, 1), (3_000_000, 0, 2_000_000)])
def test_a_get_tells_what_was_waited(sock: socket.socket, delays: tuple[int, int, int]) -> None:
    before = raw.stats()[raw.GETSOCKOPT]
    start = time.monotonic_ns()
    reply = raw.getsockopt(sock, raw.SOCKOPT + 1, raw.request(raw.SINK, delays=delays))
    took = time.monotonic_ns() - start
    waited, _ = raw.answer(reply, raw.SINK)
    for asked, told in zip(delays, waited, strict=True):
        assert asked <= told <= took
        assert (told > 0) == (asked > 0)
    assert (raw.stats()[raw.GETSOCKOPT] - before).waited_ns == sum(waited)


def test_what_sets_waited_is_counted(sock: socket.socket) -> None:
    before = raw.stats()[raw.SETSOCKOPT]
    start = time.monotonic_ns()
    for _ in range(23):
        sock.setsockopt(0, raw.SOCKOPT + 1, raw.request(raw.SINK, delays=(10_000, 0, 0)))
    took = time.monotonic_ns() - start
    assert 23 * 10_000 <= (raw.stats()[raw.SETSOCKOPT] - before).waited_ns <= took


def test_short_requests(sock: socket.socket) -> None:
    whole = raw.request(raw.ECHO)
    for size in range(len(whole)):
        with pytest.raises(OSError, match="Invalid argument"):
            sock.setsockopt(0, raw.SOCKOPT + 1, whole[:size])
        with pytest.raises(OSError, match="Invalid argument"):
            raw.getsockopt(sock, raw.SOCKOPT + 1, whole, size)


@pytest.mark.parametrize("option", [raw.SOCKOPT, raw.SOCKOPT + 1])
@pytest.mark.parametrize("room", [-1, -(2**31)])
def test_negative_length(sock: socket.socket, option: int, room: int) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        raw.getsockopt(sock, option, b"", room)


def test_bad_pointers(sock: socket.socket) -> None:
    """EFAULT for the buffer, the request and the reply; nothing worse."""
    length = ctypes.c_int(64)
    for option in (raw.SOCKOPT, raw.SOCKOPT + 1):
        for address in (8, 2**47, 2**64 - 4096):
            where = ctypes.c_void_p(address)
            fd = sock.fileno()
            assert raw.libc.getsockopt(fd, 0, option, where, ctypes.byref(length)) == -1
            assert ctypes.get_errno() == errno.EFAULT
            assert raw.libc.setsockopt(fd, 0, option, where, 64) == -1
            assert ctypes.get_errno() == errno.EFAULT


def test_the_option_after_the_last_is_not_ours(sock: socket.socket) -> None:
    with pytest.raises(OSError, match="Protocol not available"):
        raw.getsockopt(sock, raw.SOCKOPT + 2, bytes(64))


def test_counters_are_exact(sock: socket.socket) -> None:
    before = raw.stats()
    for _ in range(251):
        sock.setsockopt(0, raw.SOCKOPT, b"12345")
        raw.getsockopt(sock, raw.SOCKOPT, b"", 64)
        raw.getsockopt(sock, raw.SOCKOPT + 1, raw.request(raw.SOURCE, reply_size=7), 100)
        with pytest.raises(OSError, match="Invalid argument"):
            raw.getsockopt(sock, raw.SOCKOPT + 1, b"", 10)
    sets, gets = (now - then for now, then in list(zip(raw.stats(), before, strict=True))[:2])
    assert sets == raw.Counters(requests=251, request_bytes=251 * 5)
    assert gets == raw.Counters(
        requests=3 * 251,
        replies=2 * 251,
        copies=2 * 251,
        request_bytes=251 * (64 + 100 + 10),
        reply_bytes=251 * (24 + 40 + 7),
        errors=251,
    )


def test_stats_by_getsockopt(sock: socket.socket) -> None:
    by_netlink = raw.stats()
    rows = raw.COUNTERS.iter_unpack(raw.get(sock, raw.STATS))
    assert [raw.Counters(*row) for row in rows] == by_netlink


def test_ports_by_getsockopt(sock: socket.socket) -> None:
    by_netlink = raw.ports()
    rows = raw.PORT.iter_unpack(raw.get(sock, raw.PORTS, reply_size=raw.PAYLOAD_MAX))
    assert {row[0]: raw.Counters(*row[3:]) for row in rows}.items() <= by_netlink.items()
