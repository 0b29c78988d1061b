# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges over netlink, recorded and correlated on a real kernel."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import Recorder
from msgchan_programs import compiled

from tracer.clients import wire
from tracer.clients.epoll import EpollMsgchanSocket
from tracer.clients.icmp import IcmpListener, Pinger
from tracer.clients.messages import Request
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.wire import Op
from tracer.recorder.record import record_command

COUNT = 23
MSG_PEEK, MSG_TRUNC = 0x2, 0x20
#: include/uapi/asm-generic/socket.h; Python has no name for it.
SO_RCVBUFFORCE = 33
#: rtnetlink's request for one interface, and the flags NLM_F_REQUEST | NLM_F_ACK.
RTM_GETLINK, REQUEST_ACK = 18, 0x5


def test_echo_is_split_into_every_stage(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as sock:
        for i in range(COUNT):
            sock.request(Op.ECHO, b"x" * 64, token=1000 + i, reply_size=64)
    rows = handle.run.exchanges
    assert len(rows) == COUNT
    assert rows["status"].eq("ok").all()
    assert rows["match"].eq("nested").all()
    assert rows["logged"].all()
    assert rows["token"].tolist() == [1000 + i for i in range(COUNT)]
    assert rows["request_bytes"].eq(16 + 48 + 64).all()
    assert rows["reply_bytes"].eq(16 + 40 + 64).all()
    assert rows["copied_bytes"].eq(16 + 40 + 64).all()
    stages = [
        "encode",
        "send_entry",
        "deliver",
        "handler",
        "reply",
        "queue",
        "wake",
        "copy",
        "recv_exit",
        "decode",
    ]
    assert rows[[f"{stage}_ns" for stage in stages]].notna().all(axis=None)
    assert rows[["entry_ns", "exit_ns", "send_exit_ns"]].isna().all(axis=None)
    assert (rows["send_return_ns"] > 0).all()
    assert (rows["first_reply_ns"] < rows["total_ns"]).all()


def test_the_reply_lies_inside_the_request(recorder: Recorder) -> None:
    """The re-entrant call: the reply is sent and queued inside the request's netlink_unicast."""
    with recorder() as handle, MsgchanSocket() as sock:
        for i in range(COUNT):
            sock.request(Op.ECHO, token=i + 1, handler_delay_ns=300_000)
    calls = handle.run.events[handle.run.events["point"] == "netlink_unicast"]
    outer, inner = calls[calls["direction"] == 1], calls[calls["direction"] == 2]
    assert len(outer) == len(inner) == COUNT
    outer, inner = outer.sort_values("start_ns"), inner.sort_values("start_ns")
    assert (outer["start_ns"].to_numpy() + 300_000 < inner["start_ns"].to_numpy()).all()
    assert (inner["end_ns"].to_numpy() < outer["end_ns"].to_numpy()).all()
    assert (inner["depth"].to_numpy() > outer["depth"].to_numpy()).all()


@pytest.mark.parametrize(("place", "stage"), [("handler", "handler"), ("reply", "reply")])
def test_an_injected_delay_is_found_in_its_stage(
    recorder: Recorder, place: str, stage: str
) -> None:
    delay = 700_000
    with recorder() as handle, MsgchanSocket() as sock:
        for i in range(COUNT):
            sock.request(Op.ECHO, token=i + 1)
        for i in range(COUNT):
            sock.request(Op.ECHO, token=100 + i, **{f"{place}_delay_ns": delay})
    column = handle.run.exchanges[f"{stage}_ns"]
    plain, slow = column[:COUNT], column[COUNT:]
    assert (slow >= delay).all()
    assert slow.median() - plain.median() == pytest.approx(delay, rel=0.1)
    others = handle.run.exchanges.drop(columns=f"{stage}_ns").filter(
        regex="^(deliver|handler|reply|copy)_ns$"
    )
    assert (others[COUNT:].median() < delay / 2).all()


def test_sink_ack_and_error(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as sock:
        sock.request(Op.SINK, b"quiet", token=1)
        sock.request(Op.SINK, b"acked", token=2, ack=True)
        with pytest.raises(OSError, match="No space"):
            sock.request(Op.ECHO, token=3, error=errno.ENOSPC)
        sock.request(Op.ECHO, b"both", token=4, reply_size=4, ack=True)
    quiet, acked, failed, both = (row for _, row in handle.run.exchanges.iterrows())
    assert (quiet.status, quiet.replies) == ("ok", 0)
    assert quiet.send_exit_ns > 0
    assert (acked.status, acked.replies, acked.errno) == ("ok", 1, 0)
    assert (failed.status, failed.errno) == ("error", errno.ENOSPC)
    assert (both.status, both.replies) == ("ok", 2)
    copies = handle.run.stages.query("exchange == 3 and stage == 'copy'")
    assert copies["occurrence"].tolist() == [0, 1]


def test_several_requests_in_one_buffer(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as sock:
        batch = [Request(Op.ECHO, b"n" * n, token=50 + n, reply_size=n) for n in range(5)]
        for number in sock.send_batch(batch):
            assert sock.receive().seq == number
    rows = handle.run.exchanges
    assert rows["token"].tolist() == [50, 51, 52, 53, 54]
    assert rows["status"].eq("ok").all()
    # A reply is padded to whole words.
    assert rows["reply_bytes"].tolist() == [56, 60, 60, 60, 60]


def test_equal_sequence_numbers_on_two_sockets(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as one, MsgchanSocket() as two:
        for i in range(COUNT):
            first, second = Request(Op.ECHO, token=2 * i + 1), Request(Op.ECHO, token=2 * i + 2)
            one.send_request(first, seq=7)
            two.send_request(second, seq=7)
            two.receive(second.token)
            one.receive(first.token)
    rows = handle.run.exchanges
    assert len(rows) == 2 * COUNT
    assert rows["match"].eq("nested").all()
    assert rows["logged"].all()
    assert rows["token"].tolist() == list(range(1, 2 * COUNT + 1))


def test_another_thread_receives(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as sock:
        got: list[int] = []
        reader = threading.Thread(
            target=lambda: got.extend(sock.receive().token for _ in range(COUNT))
        )
        reader.start()
        for i in range(COUNT):
            sock.send_request(Request(Op.ECHO, token=i + 1))
        reader.join()
    assert sorted(got) == list(range(1, COUNT + 1))
    assert handle.run.exchanges["status"].eq("ok").all()
    receives = handle.run.events[handle.run.events["point"] == "netlink_recvmsg"]
    assert receives["tid"].nunique() == 1
    assert receives["tid"].iloc[0] not in handle.run.exchanges["tid"].to_numpy()


def test_a_reader_in_epoll_was_waiting(recorder: Recorder) -> None:
    """Through pyroute2's own event loop."""
    with recorder() as handle, EpollMsgchanSocket() as sock:
        for i in range(COUNT):
            sock.request(Op.ECHO, b"e", token=i + 1, reply_size=1)
    rows = handle.run.exchanges
    assert len(rows) == COUNT
    assert rows["status"].eq("ok").all()
    assert (handle.run.events["point"] == "poll").any()


def test_a_reader_that_blocked_in_poll_has_no_queue(recorder: Recorder) -> None:
    """A notification comes while the reader sits in poll: it did not lie waiting."""
    with recorder() as handle, IcmpListener() as listener:
        listener.register()
        poll = select.poll()
        poll.register(listener.fileno(), select.POLLIN)
        pinger = Pinger(os.getpid())
        other = threading.Thread(target=_ping_when_asleep, args=(threading.get_native_id(), pinger))
        other.start()
        assert poll.poll(10_000)
        other.join()
        listener.receive()
        listener.receive()
        listener.unregister()
        pinger.close()
    notes = handle.run.exchanges.query("channel == 'notify'")
    assert notes["queue_ns"].iloc[0] == 0
    assert notes["wake_ns"].iloc[0] > 0


def _ping_when_asleep(reader: int, pinger: Pinger) -> None:
    """Ping once the thread ``reader`` sleeps in poll (x86-64's system call 7)."""
    call = Path(f"/proc/self/task/{reader}/syscall")
    deadline = time.monotonic() + 10
    while call.read_text().split()[0] != "7" and time.monotonic() < deadline:
        pass
    pinger.ping(1)


def test_peeks_count_as_queue(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as sock:
        raw = socket.socket(fileno=os.dup(sock.fileno()))
        for i in range(COUNT):
            sock.send_request(Request(Op.ECHO, b"p", token=i + 1, reply_size=1))
            raw.recv(1, MSG_PEEK | MSG_TRUNC)
            sock.receive()
        raw.close()
    events = handle.run.events
    peeks = events[(events["point"] == "netlink_recvmsg") & (events["flags"] & MSG_PEEK != 0)]
    assert len(peeks) == COUNT
    assert handle.run.exchanges["status"].eq("ok").all()
    assert (handle.run.exchanges["queue_ns"].to_numpy() > 0).all()


def test_read_write_and_their_vectors(recorder: Recorder) -> None:
    """write, writev, read and readv reach the socket layer without send and receive calls."""
    with recorder() as handle:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 30)
        sock.bind((0, 0))
        sock.connect((0, 0))
        message = wire.NLMSGHDR.pack(16 + 5, 0, 0, 9, 0) + b"plain"
        os.write(sock.fileno(), message)
        os.read(sock.fileno(), 100)
        os.writev(sock.fileno(), [message[:10], message[10:]])
        os.readv(sock.fileno(), [bytearray(10), bytearray(90)])
        sock.sendmsg([message])
        sock.recvmsg(100)
        sock.close()
    points = handle.run.events["point"].value_counts()
    assert (points["netlink_sendmsg"], points["netlink_recvmsg"]) == (3, 3)
    rows = handle.run.exchanges
    assert len(rows) == 3
    assert rows["status"].eq("ok").all()
    assert rows["encode_ns"].isna().all()
    assert rows["unexplained_ns"].eq(0).all()


def test_sendmmsg_and_recvmmsg(recorder: Recorder) -> None:
    program = compiled("mmsg")
    path = recorder.path / "mmsg"
    assert record_command(path, [str(program)], probes=recorder.probes) == 0
    run = recorder.opened(path)
    points = run.events["point"].value_counts()
    assert (points["netlink_sendmsg"], points["netlink_recvmsg"]) == (3, 3)
    assert len(run.exchanges) == 3
    assert run.exchanges["status"].eq("ok").all()


def batch(count: int) -> bytes:
    """So many acknowledged requests to rtnetlink that fail, all with the sequence number 0."""
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 1 << 30, 0, 0)
    head = wire.NLMSGHDR.pack(wire.NLMSGHDR.size + len(body), RTM_GETLINK, REQUEST_ACK, 0, 0)
    return (head + body) * count


@pytest.mark.parametrize("count", [2, 40, 500])
def test_every_message_of_a_buffer_is_a_row(recorder: Recorder, count: int) -> None:
    """Each with its own error, although all have the same sequence number."""
    with recorder(full=False) as handle:
        sock = open_rtnetlink()
        data = batch(count)
        assert sock.send(data) == len(data)
        for _ in range(count):
            assert struct.unpack_from("=i", sock.recv(1000), 16)[0] == -errno.ENODEV
        sock.close()
    rows = handle.run.exchanges.query("channel == 'netlink'")
    assert len(rows) == count
    assert rows["errno"].eq(errno.ENODEV).all()
    assert rows["status"].eq("error").all()
    assert rows["request_bytes"].eq(32).all()
    assert rows["replies"].eq(1).all()


def open_rtnetlink(portid: int = 0) -> socket.socket:
    """A bound socket with much room; port id 0 leaves the choice to the kernel."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
    sock.bind((portid, 0))
    return sock


def free_an_answer_in_the_middle() -> None:
    """Have the kernel answer this port, and free that answer before some of another port.

    What is freed last is used again first, and by a request. So the first answer's memory is
    that of an answer to the next batch.
    """
    with open_rtnetlink() as sock, open_rtnetlink(0x7E57_0001) as other:
        sock.send(batch(1))
        other.send(batch(8))
        sock.recv(1000)
        for _ in range(8):
            other.recv(1000)


def test_an_answer_in_the_memory_of_an_earlier_one(recorder: Recorder, tmp_path: Path) -> None:
    """What the probes remember of an answer that was not recorded must not be taken for this."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        for name in ("first", "second", "third"):
            (tmp_path / name).mkdir()
            again = Recorder(recorder.probes, tmp_path / name)
            with again(full=False) as handle, open_rtnetlink() as sock:
                sock.send(batch(40))
                for _ in range(40):
                    sock.recv(1000)
            rows = handle.run.exchanges
            assert rows["channel"].tolist() == ["netlink"] * 40
            assert rows["replies"].eq(1).all()
            free_an_answer_in_the_middle()
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def test_a_buffer_is_split_where_the_kernel_splits_it(recorder: Recorder) -> None:
    """iproute2 sends more bytes than its message has: the rest is zero and is no message."""
    with recorder(full=False) as handle:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        sock.bind((0, 0))
        for rest in (bytes(128), b"\x0f" + bytes(15), b"\xff" * 16, b"\x10"):
            assert sock.send(batch(1) + rest) == 32 + len(rest)
            sock.recv(1000)
        sock.close()
    rows = handle.run.exchanges.query("channel == 'netlink'")
    assert rows["request_bytes"].tolist() == [32] * 4
    assert rows["errno"].eq(errno.ENODEV).all()


def test_replies_that_nobody_reads(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as sock:
        for i in range(5):
            sock.send_request(Request(Op.ECHO, token=i + 1))
    rows = handle.run.exchanges
    assert rows["status"].eq("unanswered").all()
    assert rows["queue_ns"].isna().all()


def test_a_full_receive_queue_is_told(recorder: Recorder) -> None:
    with recorder() as handle, MsgchanSocket() as sock:
        raw = socket.socket(fileno=os.dup(sock.fileno()))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for i in range(11):
            sock.send_request(Request(Op.SOURCE, token=i + 1, reply_size=2000))
        raw.close()
    lost = int(handle.run.ledger.set_index("line").loc["receive queue full"]["count"])
    assert 0 < lost < 11
    # The queue took the first replies, which nobody reads.
    states = ["unanswered"] * (11 - lost) + ["lost"] * lost
    assert handle.run.exchanges["status"].tolist() == states


def test_notifications_from_softirq_reach_every_listener(recorder: Recorder) -> None:
    with recorder() as handle, IcmpListener() as one, IcmpListener() as two:
        one.register()
        two.register()
        # Another process's traffic: only the receiving sockets are ours.
        subprocess.run(
            ["ping", "-c", "3", "-i", "0.002", "127.0.0.1"], check=True, capture_output=True
        )
        for listener in (one, two):
            for _ in range(6):
                assert listener.receive() is not None
        one.unregister()
        two.unregister()
    notes = handle.run.exchanges.query("channel == 'notify'")
    assert len(notes) == 12
    assert notes["status"].eq("ok").all()
    assert notes["name"].eq("msgchan icmp").all()
    assert notes["portid"].nunique() == 2
    assert notes["reply_ns"].notna().all()


def test_a_dump_is_one_exchange(recorder: Recorder) -> None:
    """iproute2 peeks at every part first, and two parts may lie queued at once."""
    path = recorder.path / "ip"
    assert (
        record_command(path, ["ip", "route", "show", "table", "all"], probes=recorder.probes) == 0
    )
    run = recorder.opened(path, full=False)
    dumps = run.exchanges[run.exchanges["msg_type"] == 26]
    assert len(dumps) == 1
    dump = dumps.iloc[0]
    assert dump["status"] == "ok"
    parts = (run.events["point"] == "netlink_dump").sum()
    assert dump["replies"] == parts > 1
    assert dump["comm"] == "ip"
    assert dump["handler_ns"] > 0


def test_a_dump_that_fails_says_so(recorder: Recorder) -> None:
    """The error is inside NLMSG_DONE: there is no such table."""
    path = recorder.path / "ip"
    command = ["ip", "route", "show", "table", "12345"]
    assert record_command(path, command, probes=recorder.probes) != 0
    run = recorder.opened(path, full=False)
    (dump,) = run.exchanges[run.exchanges["msg_type"] == 26].itertuples()
    assert (dump.status, dump.errno) == ("error", errno.ENOENT)


def test_a_socket_of_another_process(recorder: Recorder) -> None:
    """It was bound before it was traced, by another process, and is traced once we send on it."""
    parent, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    code = """
import socket, sys
there = socket.socket(fileno=int(sys.argv[1]))
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 30)
sock.bind((0, 0))
socket.send_fds(there, [b"x"], [sock.fileno()])
there.recv(1)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(child.fileno())], pass_fds=[child.fileno()]
    ):
        _data, (fd,), _flags, _address = socket.recv_fds(parent, 1, 1)
        with recorder() as handle, socket.socket(fileno=fd) as sock:
            for _ in range(COUNT):
                sock.send(wire.NLMSGHDR.pack(16 + 5, 0, 0, 9, 0) + b"plain")
                sock.recv(100)
        parent.send(b"x")
    rows = handle.run.exchanges
    assert len(rows) == COUNT
    assert rows["status"].eq("ok").all()
    assert rows["copy_ns"].notna().all()


@pytest.mark.parametrize("seed", ["seed_004", "seed_000"])
def test_an_unmodified_program(recorder: Recorder, seed: str) -> None:
    """The tutorials' clients keep no log: their exchanges start at the system call."""
    path = recorder.path / seed
    assert record_command(path, [str(compiled(seed))], probes=recorder.probes) == 0
    run = recorder.opened(path)
    if seed == "seed_004":
        assert run.exchanges["channel"].tolist() == ["netlink"]
        assert run.exchanges["portid"].tolist() == [66]
        assert run.exchanges["request_bytes"].tolist() == [216]
        assert run.exchanges["reply_bytes"].tolist() == [28]
    else:
        assert run.exchanges["channel"].tolist() == ["setsockopt", "getsockopt"]
        assert run.exchanges["optname"].tolist() == [10128, 10128]
        assert run.exchanges["copied_bytes"].tolist() == [0, 24]
