# SPDX-License-Identifier: GPL-2.0-or-later
"""The tracepoints msgchan:*, against what was asked; and the relay of _copy_to_user."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgchan_raw as raw
import pytest

pytestmark = pytest.mark.usefixtures("msgchan")

TRACEFS = Path("/sys/kernel/tracing")
KPROBES = Path("/sys/kernel/debug/kprobes/list")
RELAY_TGID = Path("/sys/module/msgchan/parameters/relay_tgid")
RELAY_MISSED = Path("/sys/module/msgchan/parameters/relay_missed")
STAGES = ("request_received", "handler_done", "reply_sent", "copy_begin", "copy_end")

Event = tuple[str, dict[str, int]]


@pytest.fixture(autouse=True)
def tracefs() -> None:
    for kind, path in (("tracefs", TRACEFS), ("debugfs", KPROBES.parents[1])):
        if not os.path.ismount(path):
            subprocess.run(["mount", "-t", kind, kind, path], check=True)


class Listener:
    """What the enabled tracepoints told in the meantime, of this process or of all."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []

    def of(self, pid: int) -> list[Event]:
        return [event for teller, event in self.events if teller == pid]


@contextmanager
def listening(*names: str) -> Iterator[Listener]:
    switches = [TRACEFS / "events" / "msgchan" / name / "enable" for name in names]
    # Recording names patches __schedule while it runs; an emulated CPU that was just
    # there has hung in it (QEMU 7.2, two CPUs).
    (TRACEFS / "options" / "record-cmd").write_text("0")
    (TRACEFS / "buffer_size_kb").write_text("4096")
    (TRACEFS / "trace").write_text("")
    heard = Listener()
    for switch in switches:
        switch.write_text("1")
    try:
        yield heard
    finally:
        for switch in switches:
            switch.write_text("0")
    line = re.compile(r"-(\d+)\s+\[\d+\] \S+ +[\d.]+: (\w+): (.*)")
    for pid, name, fields in line.findall((TRACEFS / "trace").read_text()):
        pairs = (field.split("=") for field in fields.split())
        heard.events.append((int(pid), (name, {key: int(value) for key, value in pairs})))


def test_a_netlink_request_tells_its_stages() -> None:
    with raw.opened() as sock, listening(*STAGES) as heard:
        raw.ask(sock, raw.ECHO, b"abc", reply_size=5, token=2**63 + 1)
    who = {"token": 2**63 + 1, "channel": raw.NETLINK, "portid": sock_id(heard), "seq": 7}
    assert heard.of(os.getpid()) == [
        ("request_received", {**who, "type": raw.REQUEST_TYPE, "size": 16 + 48 + 3, **here()}),
        ("handler_done", {**who, "error": 0}),
        ("reply_sent", {**who, "size": 64, "ret": 64, **here()}),
    ]


def here() -> dict[str, int]:
    return {"netns": os.stat("/proc/self/ns/net").st_ino}


def sock_id(heard: Listener) -> int:
    return heard.of(os.getpid())[0][1]["portid"]


def test_a_getsockopt_tells_its_stages() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, listening(*STAGES) as heard:
        request = raw.request(raw.SOURCE, reply_size=9, token=5)
        raw.getsockopt(sock, raw.SOCKOPT + 1, request, 100)
    who = {"token": 5, "channel": raw.GETSOCKOPT, "portid": 0, "seq": 0}
    assert heard.of(os.getpid()) == [
        ("request_received", {**who, "type": raw.SOCKOPT + 1, "size": 100, **here()}),
        ("handler_done", {**who, "error": 0}),
        ("copy_begin", {"token": 5, "size": 49}),
        ("copy_end", {"token": 5, "size": 49, "left": 0}),
    ]


def test_delays_lie_in_their_stages() -> None:
    times = stage_times(lambda s: raw.get(s, raw.ECHO, delays=(4_000_000, 0, 2_000_000)))
    assert times["handler_done"] - times["request_received"] >= 0.004
    assert times["copy_begin"] - times["handler_done"] < 0.004
    assert times["copy_end"] - times["copy_begin"] >= 0.002


def stage_times(call: Callable[[socket.socket], object]) -> dict[str, float]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, listening(*STAGES):
        call(sock)
    line = re.compile(r"([\d.]+): (\w+): ")
    return {name: float(at) for at, name in line.findall((TRACEFS / "trace").read_text())}


def test_failed_requests_are_received_and_done_too() -> None:
    """One of each failure: every request_received has its handler_done, and errors are told."""
    short = raw.message(raw.REQUEST_TYPE, bytes(47))
    failing = raw.message(raw.REQUEST_TYPE, raw.request(raw.ECHO, error=errno.EIO, token=3))
    wrong = raw.message(0xFFFF)
    with (
        raw.opened() as sock,
        raw.opened(raw.ICMP_PROTO) as icmp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        listening(*STAGES) as heard,
    ):
        sock.send(short + failing + wrong)
        icmp.send(raw.message(raw.K_MSG))
        with pytest.raises(OSError, match="Invalid argument"):
            udp.setsockopt(0, raw.SOCKOPT + 1, b"short")
        with pytest.raises(OSError, match="Invalid argument"):
            raw.getsockopt(udp, raw.SOCKOPT + 1, b"short")
    mine = heard.of(os.getpid())
    received = [fields for name, fields in mine if name == "request_received"]
    done = [fields for name, fields in mine if name == "handler_done"]
    acks = [fields for name, fields in mine if name == "reply_sent"]
    channels = [raw.NETLINK] * 3 + [raw.ICMP, raw.SETSOCKOPT, raw.GETSOCKOPT]
    assert [fields["channel"] for fields in received] == channels
    assert [fields["channel"] for fields in done] == channels
    assert [fields["token"] for fields in received] == [0, 3, 0, 0, 0, 0]
    invalid = -errno.EINVAL
    assert [f["error"] for f in done] == [invalid, -errno.EIO, invalid, invalid, invalid, invalid]
    assert [(fields["channel"], fields["ret"]) for fields in acks] == [
        *[(raw.NETLINK, 36)] * 3,
        (raw.ICMP, 36),
    ]


def test_a_whole_request_is_told_at_once() -> None:
    """With the times at which the others fire."""
    names = (*STAGES, "handled_any")
    with (
        raw.opened() as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        listening(*names) as heard,
    ):
        raw.ask(sock, raw.ECHO, b"abc", reply_size=5, token=6)
        raw.get(udp, raw.SOURCE, reply_size=9, delays=(1_000_000, 0, 2_000_000))
        with pytest.raises(OSError, match="Invalid argument"):
            udp.setsockopt(0, raw.SOCKOPT + 1, b"short")
    mine = heard.of(os.getpid())
    echo, get, failed = (fields for name, fields in mine if name == "handled_any")
    assert (echo["token"], echo["channel"], echo["error"]) == (6, raw.NETLINK, 0)
    assert echo["portid"] == sock_id(heard)
    assert echo["begin_ns"] < echo["done_ns"]
    assert (echo["copy_ns"], echo["copied_ns"], echo["size"]) == (0, 0, 0)
    assert get["done_ns"] - get["begin_ns"] >= 1_000_000
    assert get["done_ns"] <= get["copy_ns"]
    assert get["copied_ns"] - get["copy_ns"] >= 2_000_000
    assert get["size"] == raw.REPLY.size + 9
    assert (failed["channel"], failed["error"]) == (raw.SETSOCKOPT, -errno.EINVAL)


ASK = "import os, msgchan_raw as r; print(os.getpid()); r.ask(r.opened(), r.ECHO, b'x')"


def test_a_thread_that_nobody_marked_is_told_by_one_of_the_two() -> None:
    """A new process has not been traced, whatever this one was."""
    before = raw.stats()
    with listening("handled", "handled_any") as heard:
        told = subprocess.run(
            [sys.executable, "-c", ASK],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        ).stdout
    assert [name for name, _ in heard.of(int(told))] == ["handled_any"]
    assert (raw.stats()[raw.NETLINK] - before[raw.NETLINK]).told == 0


def test_stats_and_ports_tell_nothing() -> None:
    with listening(*STAGES) as heard, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        raw.stats()
        raw.ports()
        raw.get(udp, raw.STATS)
    assert heard.of(os.getpid()) == []


def armed() -> bool:
    return "_copy_to_user" in KPROBES.read_text()


@contextmanager
def relay_filter(*tgids: int) -> Iterator[None]:
    RELAY_TGID.write_text(",".join(map(str, tgids)))
    try:
        yield
    finally:
        RELAY_TGID.write_text("\n")  # an empty text would be no write at all


def gets_of(heard: Listener, pid: int) -> list[dict[str, int]]:
    """The copies that get_some() made: by their size, which nothing else has."""
    return [fields for _, fields in heard.of(pid) if fields["size"] == raw.REPLY.size + 1009]


def get_some(count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            raw.get(sock, raw.SOURCE, reply_size=1009)


def test_the_relay_is_armed_while_it_has_a_listener() -> None:
    assert not armed()
    for _ in range(11):
        with relay_filter(os.getpid()), listening("copy_to_user"):
            assert armed()
        assert not armed()


def test_the_relay_tells_every_copy_of_the_process() -> None:
    missed = RELAY_MISSED.read_text()
    with relay_filter(os.getpid()), listening("copy_to_user") as heard:
        get_some(251)
    copies = gets_of(heard, os.getpid())
    assert len(copies) == 251
    assert all(copy["start_ns"] < copy["end_ns"] and copy["left"] == 0 for copy in copies)
    assert RELAY_MISSED.read_text() == missed


CHILD = "import test_msgchan_trace as t, os; print(os.getpid(), flush=True); t.get_some(23)"


def test_the_relay_tells_the_copies_of_children() -> None:
    with relay_filter(os.getpid()), listening("copy_to_user") as heard:
        pid = int(run_child())
    assert len(gets_of(heard, pid)) == 23


def run_child() -> str:
    return subprocess.run(
        [sys.executable, "-c", CHILD],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    ).stdout


def test_the_relay_keeps_silent_about_others() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        with relay_filter(other.pid), listening("copy_to_user") as heard:
            get_some(23)
        other.communicate()
    assert heard.of(os.getpid()) == []


def test_the_relay_without_a_filter_tells_of_everybody() -> None:
    with listening("copy_to_user") as heard:
        get_some(23)
        pid = int(run_child())
    assert len(gets_of(heard, os.getpid())) == 23
    assert len(gets_of(heard, pid)) == 23


@pytest.mark.parametrize("text", ["x", "1,x", "0", "-5", "1-99", ",".join("1" * 17), "1,,2"])
def test_a_wrong_filter_is_refused_and_the_old_one_stays(text: str) -> None:
    with relay_filter(1, 2, 3):
        with pytest.raises(OSError, match="Invalid argument"):
            RELAY_TGID.write_text(text)
        assert RELAY_TGID.read_text() == "1,2,3\n"
    assert RELAY_TGID.read_text() == "\n"
