# SPDX-License-Identifier: GPL-2.0-or-later
"""The workload against the module: complete, verified, as the counters have it; bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tracer.clients import sends
from tracer.clients.drive import Workload, drive
from tracer.clients.sockopt import read_counters
from tracer.clients.spool_reader import SpoolReader
from tracer.clients.workload import token
from tracer.errors import TracerError
from tracer.module import kmod

pytestmark = pytest.mark.usefixtures("msgchan")


def told_as_nobody(workload: Workload) -> str:
    """What `drive` raises in a child without any right."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            drive(workload)
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return told


@pytest.mark.parametrize("op", ["echo", "sink", "source"])
def test_a_workload_is_answered_as_expected(op: str) -> None:
    before = read_counters()
    outcomes = drive(Workload(count=101, size=100, reply_size=37, threads=3, op=op))
    after = read_counters()
    assert [o.channel for o in outcomes] == ["netlink", "setsockopt", "getsockopt", "icmp"]
    for outcome in outcomes:
        assert (outcome.requests, outcome.errors, outcome.mismatches) == (303, 0, 0), outcome
        assert 0 < outcome.p50_ns <= outcome.p99_ns <= outcome.max_ns
        assert outcome.seconds > 0
        assert outcome.late_p99_ns == 0
    for channel in ("netlink", "setsockopt", "getsockopt"):
        assert after[channel]["requests"] - before[channel]["requests"] == 303
        assert after[channel]["errors"] == before[channel]["errors"]
    # Three listeners, each told of both packets of every ping, and their acks.
    replies = after["icmp"]["replies"] - before["icmp"]["replies"]
    assert replies == 3 * (2 * 303 + 2)


@pytest.mark.parametrize("size", [0, 1, 65507])
def test_sizes_at_their_ends(size: int) -> None:
    for outcome in drive(Workload(count=7, size=size)):
        assert (outcome.requests, outcome.errors, outcome.mismatches) == (7, 0, 0), outcome


def test_delays_are_in_the_latencies() -> None:
    load = Workload(
        count=23, handler_delay_ns=2_000_000, reply_delay_ns=1_000_000, copy_delay_ns=3_000_000
    )
    p50 = {o.channel: o.p50_ns for o in drive(load)}
    assert p50["netlink"] >= 3_000_000
    assert p50["setsockopt"] >= 2_000_000
    assert p50["getsockopt"] >= 5_000_000


def test_what_was_really_waited_is_told() -> None:
    load = Workload(("netlink", "sockopt"), 23, handler_delay_ns=10_000, reply_delay_ns=1)
    told = {o.channel: {wait.stage: wait for wait in o.waits} for o in drive(load)}
    assert {channel: list(waits) for channel, waits in told.items()} == {
        "netlink": ["handler", "reply"],
        "setsockopt": [],
        "getsockopt": ["handler", "copy"],
    }
    for wait in (told["netlink"]["handler"], told["getsockopt"]["handler"]):
        assert wait.asked_ns == 10_000 <= wait.min_ns <= wait.p50_ns <= wait.max_ns
    assert told["netlink"]["reply"].min_ns >= 1
    copy = told["getsockopt"]["copy"]
    assert (copy.asked_ns, copy.p50_ns, copy.min_ns, copy.max_ns) == (0, 0, 0, 0)


def test_intended_times_are_logged_and_lateness_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(tmp_path))
    # Each request takes longer than its slot: the last begins some 22 times 3 ms late.
    load = Workload(("netlink",), count=23, rate=500.0, handler_delay_ns=5_000_000)
    (outcome,) = drive(load)
    entries = SpoolReader(tmp_path).read()
    sent = entries[entries["kind"] == sends.KIND_SEND]
    assert np.diff(sent["intended_ns"].astype(np.int64)).tolist() == [2_000_000] * 22
    late = sent["begin_ns"].astype(np.int64) - sent["intended_ns"].astype(np.int64)
    assert (late >= 0).all()
    assert late[-1] >= 22 * 3_000_000
    assert outcome.late_p99_ns >= 20 * 3_000_000
    assert sent["token"].tolist() == [token(1, "netlink", 0, n) for n in range(23)]


def test_the_command_prints_json() -> None:
    argv = [sys.executable, "-m", "tracer", "drive", "--count", "23", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [o["channel"] for o in found] == ["netlink", "setsockopt", "getsockopt", "icmp"]
    assert {(o["requests"], o["errors"], o["mismatches"]) for o in found} == {(23, 0, 0)}


@pytest.mark.parametrize("channel", ["netlink", "sockopt", "icmp"])
def test_without_rights_it_says_what_is_needed(channel: str) -> None:
    assert told_as_nobody(Workload((channel,), count=2)).startswith(
        f"TracerError: cannot drive {channel}: the requests are not permitted; run as root"
    )


def test_without_the_module_it_says_so() -> None:
    kmod.unload()
    with pytest.raises(TracerError, match="msgchan is not loaded; run `tracer kmod load`"):
        drive(Workload(count=2))


def test_more_threads_than_processors() -> None:
    load = Workload(count=23, threads=7)
    for outcome in drive(load):
        assert (outcome.requests, outcome.errors, outcome.mismatches) == (7 * 23, 0, 0), outcome
