# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests on netlink protocol 30: answers, errors, limits, counters."""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
import threading
import time

import msgchan_raw as raw
import pytest

pytestmark = pytest.mark.usefixtures("msgchan")


def test_text_is_answered_with_the_request_s_number() -> None:
    with raw.opened(portid=66) as sock:
        sock.send(raw.message(raw.TEXT, b"hello kernel", seq=4711))
        reply = raw.receive(sock)
    assert reply == raw.Message(30, 0, 4711, 66, b"hello users")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 4093, raw.PAYLOAD_MAX])
def test_echo_gives_the_payload_back(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    with raw.opened() as sock:
        assert raw.ask(sock, raw.ECHO, payload, reply_size=size, token=2**64 - 1) == payload


def test_echo_is_cut_or_filled_to_the_reply_size() -> None:
    with raw.opened() as sock:
        assert raw.ask(sock, raw.ECHO, b"abcdef", reply_size=4) == b"abcd"
        assert raw.ask(sock, raw.ECHO, b"abc", reply_size=5) == b"abc\0\0"


def test_source_derives_its_bytes_from_the_token() -> None:
    with raw.opened() as sock:
        reply = raw.ask(sock, raw.SOURCE, token=250, reply_size=1009)
    assert reply == bytes((250 + i) % 256 for i in range(1009))


def test_sink_answers_only_when_asked_to() -> None:
    body = raw.request(raw.SINK, bytes(999))
    with raw.opened() as sock:
        sock.send(raw.message(raw.REQUEST_TYPE + raw.SINK, body, seq=1))
        sock.send(raw.message(raw.REQUEST_TYPE + raw.SINK, body, seq=2, flags=raw.F_ACK))
        ack = raw.receive(sock)
    assert (ack.seq, raw.errno_of(ack)) == (2, 0)


def test_reply_and_ack() -> None:
    body = raw.request(raw.SOURCE, reply_size=5)
    with raw.opened() as sock:
        sock.send(raw.message(raw.REQUEST_TYPE + raw.SOURCE, body, flags=raw.F_ACK))
        assert raw.receive(sock).type == raw.REPLY_TYPE + raw.SOURCE
        assert raw.errno_of(raw.receive(sock)) == 0


def test_many_requests_in_one_buffer() -> None:
    body = raw.request(raw.ECHO, b"odd", reply_size=3)
    whole = b"".join(raw.message(raw.REQUEST_TYPE, body, seq=seq) for seq in range(23))
    with raw.opened() as sock:
        sock.send(whole + raw.message(raw.TEXT, seq=23))
        assert [raw.receive(sock).seq for _ in range(24)] == list(range(24))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"error": errno.ENODATA}, errno.ENODATA),
        ({"error": 4095}, 4095),
        ({"error": 4096}, errno.EINVAL),
        ({"reply_size": raw.PAYLOAD_MAX + 1}, errno.EMSGSIZE),
        ({"reply_size": 2**32 - 1}, errno.EMSGSIZE),
        ({"payload_size": 1}, errno.EINVAL),
        ({"payload_size": 2**32 - 1}, errno.EMSGSIZE),
        ({"delays": (raw.DELAY_MAX_NS + 1, 0, 0)}, errno.EINVAL),
        ({"delays": (0, raw.DELAY_MAX_NS + 1, 0)}, errno.EINVAL),
        ({"delays": (0, 0, 2**64 - 1)}, errno.EINVAL),
    ],
)
def test_error(fields: dict[str, object], expected: int) -> None:
    with raw.opened() as sock, pytest.raises(OSError, match=os.strerror(expected)):
        raw.ask(sock, raw.ECHO, **fields)


@pytest.mark.parametrize("kind", [1, 2, 3, 0xF, 0x15, 0x1F, 0x20, 0xFFFF])
def test_unknown_type(kind: int) -> None:
    with raw.opened() as sock:
        sock.send(raw.message(kind, raw.request(0), seq=9))
        reply = raw.receive(sock)
    assert (reply.seq, raw.errno_of(reply)) == (9, errno.EINVAL)
    assert reply.body[4:] == raw.message(kind, seq=9, length=16 + raw.REQUEST.size)


def test_type_and_operation_must_agree() -> None:
    with raw.opened() as sock:
        sock.send(raw.message(raw.REQUEST_TYPE + raw.SOURCE, raw.request(raw.ECHO)))
        assert raw.errno_of(raw.receive(sock)) == errno.EINVAL


@pytest.mark.parametrize("delays", [(5_000_000, 0, 0), (0, 5_000_000, 0), (10_000_000, 10**7, 0)])
def test_delays_hold_the_reply_back(delays: tuple[int, int, int]) -> None:
    with raw.opened() as sock:
        start = time.monotonic_ns()
        raw.ask(sock, raw.ECHO, delays=delays)
        assert time.monotonic_ns() - start >= sum(delays)


@pytest.mark.parametrize("delays", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (2_000_000, 3_000_000, 0)])
def test_a_reply_tells_what_was_waited(delays: tuple[int, int, int]) -> None:
    """No less than asked for, no more than the request took; 0 for 0; and the counter has it."""
    before = raw.stats()[raw.NETLINK]
    with raw.opened() as sock:
        start = time.monotonic_ns()
        sock.send(raw.message(raw.REQUEST_TYPE, raw.request(raw.ECHO, b"abc", delays=delays)))
        body = raw.receive(sock).body
        took = time.monotonic_ns() - start
    waited, _ = raw.answer(body, raw.ECHO)
    for asked, told in zip(delays, waited, strict=True):
        assert asked <= told <= took
        assert (told > 0) == (asked > 0)
    assert (raw.stats()[raw.NETLINK] - before).waited_ns == sum(waited)


def test_malformed_messages_are_harmless() -> None:
    """Every length up to a whole request, and lies about it in every direction."""
    body = raw.request(raw.ECHO, b"payload", reply_size=7)
    with raw.opened() as sock:
        sock.setblocking(False)
        for size in range(len(body) + 1):
            for length in (0, 1, 15, 16, 17, 16 + size, 17 + size, 2**31, 2**32 - 1):
                for kind in (raw.TEXT, raw.REQUEST_TYPE, raw.REQUEST_TYPE + raw.PORTS):
                    sock.send(raw.message(kind, body[:size], length=length))
                    drain(sock)
    with raw.opened() as sock:
        assert raw.ask(sock, raw.ECHO, b"alive", reply_size=5) == b"alive"


def test_noise_is_harmless() -> None:
    noise = random.Random(2)
    with raw.opened() as sock:
        sock.setblocking(False)
        for _ in range(1009):
            sock.send(noise.randbytes(noise.randrange(1, 300)))
            head = raw.NLMSGHDR.pack(noise.randrange(16, 200), noise.randrange(0x16), 4, 1, 0)
            sock.send(head + noise.randbytes(noise.randrange(200)))
            drain(sock)
    with raw.opened() as sock:
        assert raw.ask(sock, raw.ECHO, b"alive", reply_size=5) == b"alive"


def drain(sock: socket.socket) -> None:
    while True:
        try:
            sock.recv(1 << 17)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: some answer did not find room
            continue


def test_a_full_receive_buffer_is_an_error_in_the_account() -> None:
    before = raw.stats()[raw.NETLINK]
    body = raw.request(raw.SOURCE, reply_size=raw.PAYLOAD_MAX)
    with raw.opened() as sock:
        for _ in range(11):
            sock.send(raw.message(raw.REQUEST_TYPE + raw.SOURCE, body))
        seen = raw.stats()[raw.NETLINK] - before
        with pytest.raises(OSError, match=r"No buffer space"):
            sock.recv(1)
    assert seen.requests == 11
    assert seen.replies + seen.errors == 11
    assert seen.errors > 0


def test_counters_are_exact() -> None:
    """251 of each kind; what the user counted is what the module counted."""
    before, ports = raw.stats()[raw.NETLINK], raw.ports()
    echo = raw.message(raw.REQUEST_TYPE, raw.request(raw.ECHO, bytes(13), reply_size=29))
    sink = raw.message(raw.REQUEST_TYPE + raw.SINK, raw.request(raw.SINK))
    fail = raw.message(raw.REQUEST_TYPE, raw.request(raw.ECHO, error=errno.EIO))
    text = raw.message(raw.TEXT, b"text")
    received = 0
    with raw.opened() as sock:
        for _ in range(251):
            for one in (echo, sink, fail, text):
                sock.send(one)
            received += sum(len(sock.recv(4096)) for _ in range(3))
        portid = sock.getsockname()[0]
    assert raw.stats()[raw.NETLINK] - before == raw.Counters(
        requests=4 * 251,
        replies=3 * 251,
        request_bytes=251 * (16 + 48 + 13 + 64 + 64 + 20),
        reply_bytes=received,
        errors=251,
    )
    # A port id may have had an earlier owner, whose requests stay in its account.
    earlier = ports.get(portid, raw.Counters())
    assert raw.ports()[portid].requests - earlier.requests == 4 * 251
    assert raw.ports()[portid].reply_bytes - earlier.reply_bytes == received


def test_stats_and_ports_are_counted_nowhere() -> None:
    before = raw.stats()
    known = raw.ports()
    assert raw.stats() == before
    assert raw.ports() == known


def test_counters_of_threads_add_up() -> None:
    before = raw.stats()[raw.NETLINK]

    def work() -> None:
        with raw.opened() as sock:
            for _ in range(499):
                raw.ask(sock, raw.SOURCE, reply_size=3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (raw.stats()[raw.NETLINK] - before).requests == 4 * 499


def test_port_ids_are_kept_after_close() -> None:
    numbers = [2_000_003, 2_000_029, 2_000_039]
    for count, portid in enumerate(numbers, 1):
        with raw.opened(portid=portid) as sock:
            for _ in range(count):
                sock.send(raw.message(raw.REQUEST_TYPE + raw.SINK, raw.request(raw.SINK)))
    seen = raw.ports()
    assert [seen[portid].requests for portid in numbers] == [1, 2, 3]
    assert [portid for portid in seen if portid in numbers] == numbers


def test_ports_reply_is_cut_to_whole_entries() -> None:
    with raw.opened() as sock:
        sock.send(raw.message(raw.TEXT))
        raw.receive(sock)
        assert raw.ask(sock, raw.PORTS, reply_size=raw.PORT.size - 1) == b""
        assert len(raw.ask(sock, raw.PORTS, reply_size=raw.PORT.size + 1)) == raw.PORT.size
        others = raw.ask(sock, raw.PORTS, struct.pack("=Q", 2**64 - 1), reply_size=4096)
        assert len(others) == raw.PORT.size
        assert raw.PORT.unpack(others)[0] == 0
