# SPDX-License-Identifier: GPL-2.0-or-later
"""The user-side clients against the module: answers, errors, and what the log says of both."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from msgchan_programs import compiled
from pyroute2.netlink import NLMSG_ERROR

from tracer.clients import sends, wire
from tracer.clients.epoll import EpollMsgchanSocket
from tracer.clients.icmp import PACKETS_PER_PING, IcmpListener, Pinger
from tracer.clients.messages import Request
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.sockopt import SockoptClient, read_counters, read_ports
from tracer.clients.spool_reader import SpoolReader
from tracer.clients.wire import Op

pytestmark = pytest.mark.usefixtures("msgchan")


@pytest.fixture
def logged(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], np.ndarray[Any, Any]]:
    """Reads what the clients opened in this test have logged since the last call."""
    spool = tmp_path_factory.mktemp("spool")
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(spool))
    return SpoolReader(spool).read


@pytest.fixture
def sock(logged: Any) -> Iterator[MsgchanSocket]:
    with MsgchanSocket() as opened:
        yield opened


@pytest.fixture
def client(logged: Any) -> Iterator[SockoptClient]:
    with SockoptClient() as opened:
        yield opened


def rows(entries: np.ndarray[Any, Any], *names: str) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in row) for row in entries[list(names)].tolist()]


# Netlink


@pytest.mark.parametrize("size", [0, 1, 3, 100, 65536])
def test_an_echo_comes_back(sock: MsgchanSocket, size: int) -> None:
    payload = wire.source_payload(size + 1, size)
    assert sock.request(Op.ECHO, payload, token=7, reply_size=size) == payload


def test_an_echo_is_cut_and_filled(sock: MsgchanSocket) -> None:
    assert sock.request(Op.ECHO, b"abcdef", reply_size=3) == b"abc"
    assert sock.request(Op.ECHO, b"abc", reply_size=5) == b"abc\0\0"


def test_a_source_counts_up(sock: MsgchanSocket) -> None:
    token = 0xFEDCBA9876543210
    got = sock.request(Op.SOURCE, token=token, reply_size=1009)
    assert got == wire.source_payload(token, 1009)


def test_a_request_is_logged_as_send_and_receive(
    sock: MsgchanSocket, logged: Callable[[], np.ndarray[Any, Any]]
) -> None:
    before = time.monotonic_ns()
    sock.request(Op.ECHO, b"x" * 100, token=11, reply_size=50, intended_ns=before)
    after = time.monotonic_ns()
    entries = logged()
    assert rows(entries, "channel", "kind", "type", "size", "seq", "token", "errno") == [
        (0, sends.KIND_SEND, 0x10, 16 + 48 + 100, 1, 11, 0),
        (0, sends.KIND_RECEIVE, 0x20, 16 + 40 + 52, 1, 11, 0),  # padded to four bytes
    ]
    assert entries["intended_ns"].tolist() == [before, 0]
    assert set(entries["portid"].tolist()) == {sock.portid}
    assert set(entries["tid"].tolist()) == {threading.get_native_id()}
    assert set(entries["proto"].tolist()) == {30}
    times = [t for row in rows(entries, "begin_ns", "end_ns") for t in row]
    assert [before, *times, after] == sorted([before, *times, after])


def test_an_acked_request_is_complete_with_its_ack(
    sock: MsgchanSocket, logged: Callable[[], np.ndarray[Any, Any]]
) -> None:
    assert sock.request(Op.ECHO, b"abc", token=5, reply_size=3, ack=True) == b"abc"
    assert sock.request(Op.SINK, b"abc", token=6, ack=True) == b""
    assert rows(logged(), "kind", "type", "seq", "token", "errno") == [
        (0, 0x10, 1, 5, 0),
        (1, 0x20, 1, 5, 0),
        (1, NLMSG_ERROR, 1, 5, 0),
        (0, 0x11, 2, 6, 0),
        (1, NLMSG_ERROR, 2, 6, 0),
    ]


@pytest.mark.parametrize("code", [errno.EIO, errno.EBUSY, errno.EOPNOTSUPP])
@pytest.mark.parametrize("op", [Op.ECHO, Op.SINK])
def test_an_error_is_raised_and_logged(
    sock: MsgchanSocket, logged: Callable[[], np.ndarray[Any, Any]], op: Op, code: int
) -> None:
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        sock.request(op, token=3, error=code)
    assert caught.value.errno == code
    assert rows(logged(), "kind", "type", "token", "errno")[1:] == [(1, NLMSG_ERROR, 3, code)]


def test_what_the_module_refuses_is_an_error(sock: MsgchanSocket) -> None:
    with pytest.raises(OSError, match="Message too long"):
        sock.request(Op.ECHO, bytes(wire.PAYLOAD_MAX + 1))
    with pytest.raises(OSError, match="Invalid argument"):
        sock.request(Op.ECHO, handler_delay_ns=wire.DELAY_MAX_NS + 1)


def test_plain_text_as_the_tutorials_send_it(
    logged: Callable[[], np.ndarray[Any, Any]],
) -> None:
    with MsgchanSocket(portid=66) as sock:
        assert sock.portid == 66
        assert sock.text(bytes(200), flags=0, seq=0) == wire.NETLINK_TEXT
    assert rows(logged(), "portid", "kind", "type", "size", "seq", "token") == [
        (66, 0, 0, 216, 0, 0),
        (66, 1, 30, 28, 0, 0),
    ]


def test_a_batch_goes_in_one_buffer(
    sock: MsgchanSocket, logged: Callable[[], np.ndarray[Any, Any]]
) -> None:
    asked = [Request(Op.ECHO, b"x" * n, token=n, reply_size=n) for n in range(1, 24)]
    assert sock.send_batch(asked) == list(range(1, 24))
    replies = [sock.receive() for _ in asked]
    assert [reply.payload for reply in replies] == [a.payload for a in asked]
    assert [reply.seq for reply in replies] == list(range(1, 24))
    entries = logged()
    batch = entries[entries["kind"] == sends.KIND_SEND]
    assert len(set(batch["begin_ns"])) == len(set(batch["end_ns"])) == 1
    assert batch["size"].tolist() == [16 + 48 + n for n in range(1, 24)]


def test_another_thread_receives(
    sock: MsgchanSocket, logged: Callable[[], np.ndarray[Any, Any]]
) -> None:
    got = []
    thread = threading.Thread(target=lambda: got.extend(sock.receive() for _ in range(23)))
    thread.start()
    numbers = [
        sock.send_request(Request(Op.SOURCE, token=n, reply_size=8)) for n in range(100, 123)
    ]
    thread.join(20)
    assert [reply.seq for reply in got] == numbers
    assert [reply.token for reply in got] == list(range(100, 123))
    entries = logged()
    by_kind = [set(entries["tid"][entries["kind"] == kind].tolist()) for kind in (0, 1)]
    assert len(by_kind[0] | by_kind[1]) == 2


def test_two_sockets_use_the_same_numbers(logged: Callable[[], np.ndarray[Any, Any]]) -> None:
    with MsgchanSocket(first_seq=7) as one, MsgchanSocket(first_seq=7) as two:
        assert one.portid != two.portid
        first = one.send_request(Request(Op.SOURCE, token=1, reply_size=2))
        second = two.send_request(Request(Op.SOURCE, token=2, reply_size=2))
        assert (first, second) == (7, 7)
        assert two.receive().payload == b"\2\3"
        assert one.receive().payload == b"\1\2"
    assert set(logged()["seq"].tolist()) == {7}


def test_a_receive_gives_up_at_its_deadline(
    sock: MsgchanSocket, logged: Callable[[], np.ndarray[Any, Any]]
) -> None:
    sock.set_deadline(0.05)
    with pytest.raises(TimeoutError, match="no message before the deadline"):
        sock.receive()
    assert rows(logged(), "kind", "errno") == [(1, errno.EAGAIN)]


def test_a_taken_port_id_is_refused() -> None:
    with MsgchanSocket(portid=66), pytest.raises(OSError, match="Address already in use"):
        MsgchanSocket(portid=66)


def test_a_closed_socket_leaves_no_descriptor() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(23):
        MsgchanSocket().close()
        IcmpListener().close()
        EpollMsgchanSocket().close()
        SockoptClient().close()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_receiver_may_wait_in_epoll(logged: Callable[[], np.ndarray[Any, Any]]) -> None:
    with EpollMsgchanSocket() as sock:
        for n in range(23):
            payload = wire.source_payload(n, 100)
            assert sock.request(Op.ECHO, payload, token=n, reply_size=100) == payload
        with pytest.raises(OSError, match="Input/output error"):
            sock.request(Op.ECHO, token=99, error=errno.EIO)
        portid = sock.portid
    entries = logged()
    assert len(entries) == 48
    assert set(entries["portid"].tolist()) == {portid}
    assert rows(entries, "kind", "type", "size", "token", "errno")[:2] == [
        (0, 0x10, 164, 0, 0),
        (1, 0x20, 16 + 40 + 100, 0, 0),
    ]
    assert rows(entries, "kind", "type", "size", "token", "errno")[46:] == [
        (0, 0x10, 64, 99, 0),
        (1, NLMSG_ERROR, 36, 99, errno.EIO),
    ]
    assert (entries["seq"][0::2] == entries["seq"][1::2]).all()
    assert (entries["begin_ns"][1::2] >= entries["end_ns"][0::2]).all()


def test_the_clients_tell_what_was_waited(sock: MsgchanSocket, client: SockoptClient) -> None:
    sock.request(Op.ECHO, handler_delay_ns=1_000, reply_delay_ns=2_000, ack=True)
    handler, reply, copy = sock.waited
    assert handler >= 1_000
    assert reply >= 2_000
    assert copy == 0
    with EpollMsgchanSocket() as waiting:
        waiting.request(Op.ECHO, reply_delay_ns=3_000)
        assert waiting.waited.handler_ns == 0
        assert waiting.waited.reply_ns >= 3_000
    client.get(Op.ECHO, handler_delay_ns=1_000, copy_delay_ns=2_000)
    handler, reply, copy = client.waited
    assert handler >= 1_000
    assert reply == 0
    assert copy >= 2_000
    client.get(Op.SOURCE, reply_size=100)
    assert client.waited == (0, 0, 0)


# Socket options


@pytest.mark.parametrize("size", [0, 1, 100, 65536])
def test_a_get_echoes(client: SockoptClient, size: int) -> None:
    payload = wire.source_payload(size + 1, size)
    assert client.get(Op.ECHO, payload, token=7, reply_size=size) == payload


def test_each_call_is_one_entry(
    client: SockoptClient, logged: Callable[[], np.ndarray[Any, Any]]
) -> None:
    client.set(Op.SINK, b"x" * 100, token=3)
    assert client.get(Op.SOURCE, token=4, reply_size=1009) == wire.source_payload(4, 1009)
    assert client.get(Op.SINK, b"abc", token=5) == b""
    with pytest.raises(OSError, match="Device or resource busy"):
        client.get(Op.ECHO, token=6, error=errno.EBUSY)
    with pytest.raises(OSError, match="Device or resource busy"):
        client.set(Op.SINK, token=7, error=errno.EBUSY)
    assert rows(logged(), "channel", "kind", "type", "size", "token", "errno") == [
        (1, 2, 10129, 148, 3, 0),
        (2, 2, 10129, 40 + 1009, 4, 0),
        (2, 2, 10129, 40, 5, 0),
        (2, 2, 10129, 48, 6, errno.EBUSY),
        (1, 2, 10129, 48, 7, errno.EBUSY),
    ]


def test_a_reply_is_cut_to_the_room(client: SockoptClient) -> None:
    assert client.get(Op.SOURCE, token=1, reply_size=100, room=48) == wire.source_payload(1, 8)


def test_plain_text_by_socket_option(
    client: SockoptClient, logged: Callable[[], np.ndarray[Any, Any]]
) -> None:
    client.set_text(b"hello\0")
    assert client.get_text() == wire.SOCKOPT_TEXT
    assert rows(logged(), "channel", "type", "size") == [(1, 10128, 6), (2, 10128, 24)]


# ICMP


def test_a_listener_hears_pings_until_it_closes(
    logged: Callable[[], np.ndarray[Any, Any]],
) -> None:
    pinger = Pinger(23, "127.0.0.5")
    with IcmpListener() as listener:
        listener.register()
        heard = []
        for number in range(23):
            pinger.ping(number, b"x" * number)
            heard += [listener.receive() for _ in range(PACKETS_PER_PING)]
        there = ("127.0.0.1", "127.0.0.5")
        assert heard == [there, there[::-1]] * 23
        listener.unregister()
        pinger.ping(24)
        assert listener.receive(0.05) is None
        portid = listener.portid
    pinger.close()
    entries = logged()
    told = entries[(entries["channel"] == sends.CHANNEL_NOTIFY) & (entries["errno"] == 0)]
    assert len(told) == 46
    assert set(rows(told, "kind", "type", "size", "portid", "proto")) == {(1, 1, 24, portid, 31)}
    sent = entries[entries["kind"] == sends.KIND_SEND]
    assert rows(sent, "channel", "type", "proto") == [(0, 0, 31), (0, 2, 31)]


# Counters


def test_counters_count_what_the_clients_did(sock: MsgchanSocket, client: SockoptClient) -> None:
    before = read_counters()
    for _ in range(23):
        sock.request(Op.ECHO, b"x" * 100, reply_size=50)
        client.set(Op.SINK, b"x" * 10)
        client.get(Op.ECHO, b"x" * 10, reply_size=10)
    with pytest.raises(OSError, match="Input/output error"):
        sock.request(Op.ECHO, error=errno.EIO)
    after = read_counters()
    grown = {
        channel: {name: after[channel][name] - before[channel][name] for name in after[channel]}
        for channel in wire.CHANNELS
    }
    assert grown["netlink"]["requests"] == 24
    assert grown["netlink"]["replies"] == 24
    assert grown["netlink"]["errors"] == 1
    assert grown["netlink"]["request_bytes"] == 23 * 164 + 64
    assert grown["setsockopt"]["requests"] == 23
    assert grown["getsockopt"]["requests"] == grown["getsockopt"]["copies"] == 23
    assert set(grown["icmp"].values()) == {0}


def test_ports_are_counted_apart() -> None:
    opened = [MsgchanSocket() for _ in range(5)]
    before = read_ports()
    for number, sock in enumerate(opened):
        for _ in range(number):
            sock.request(Op.SINK)
    after = read_ports()
    none = {"requests": 0}
    grown = [
        after.get(s.portid, none)["requests"] - before.get(s.portid, none)["requests"]
        for s in opened
    ]
    assert grown == [0, 1, 2, 3, 4]
    for sock in opened:
        sock.close()


def test_the_port_table_is_read_to_its_end() -> None:
    """More than a page of it, and what is counted at no port id of its own: all that was asked."""
    command = [compiled("many_ports"), "7000000", "5000", "close"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    ports = read_ports()
    assert len(ports) == 4096 + 1
    assert ports[7_000_000 + 4999]["requests"] == 1
    counted = sum(counters["requests"] for counters in ports.values())
    assert counted == read_counters()["netlink"]["requests"]


def test_reading_counters_counts_and_logs_nothing(
    logged: Callable[[], np.ndarray[Any, Any]],
) -> None:
    before = read_counters()
    read_ports()
    assert read_counters() == before
    assert len(logged()) == 0


def test_the_base_may_be_another(msgchan: Path) -> None:
    from tracer.module import kmod

    kmod.unload()
    kmod.load(msgchan, sockopt_base=1300, netlink_proto=29, icmp_proto=28)
    assert wire.parameters() == (1300, 29, 28)
    with SockoptClient() as client, MsgchanSocket() as sock:
        assert client.get_text() == wire.SOCKOPT_TEXT
        assert sock.text(b"hi") == wire.NETLINK_TEXT
    kmod.unload()


def test_what_a_request_costs(sock: MsgchanSocket, client: SockoptClient) -> None:
    payload = bytes(100)

    def cost(call: Callable[[], object]) -> float:
        times = []
        for _ in range(1009):
            begin = time.monotonic_ns()
            call()
            times.append(time.monotonic_ns() - begin)
        return median(times) / 1000

    echo = cost(lambda: sock.request(Op.ECHO, payload, reply_size=100))
    get = cost(lambda: client.get(Op.ECHO, payload, reply_size=100))
    set_ = cost(lambda: client.set(Op.SINK, payload))
    print(f"p50: netlink {echo:.1f} µs, getsockopt {get:.1f} µs, setsockopt {set_:.1f} µs")
    assert echo < 10_000
