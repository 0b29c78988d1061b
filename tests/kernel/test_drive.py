# SPDX-License-Identifier: GPL-2.0-or-later
"""The workload against the module: complete, verified, as the counters have it; bad input."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tracer import kmod
from tracer.clients import sends
from tracer.clients.sends import SpoolReader
from tracer.clients.sockopt import read_counters
from tracer.drive import Workload, drive, token

pytestmark = pytest.mark.usefixtures("msgchan")


def run(*options: str, **more: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tracer", "drive", *options]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, **more)  # type: ignore[call-overload, no-any-return]


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


def test_the_command_prints_a_table_or_json() -> None:
    done = run("--count", "23", "--size", "10")
    assert done.returncode == 0, done.stderr
    for channel in ("netlink", "setsockopt", "getsockopt", "icmp"):
        assert channel in done.stdout
    done = run("--count", "23", "--channel", "sockopt", "--json")
    found = json.loads(done.stdout)
    assert [o["channel"] for o in found] == ["setsockopt", "getsockopt"]
    assert {o["requests"] for o in found} == {23}


def test_without_rights_it_says_what_is_needed() -> None:
    for channel in ("netlink", "sockopt", "icmp"):
        done = run("--channel", channel, "--count", "2", user=65534, group=65534, extra_groups=[])
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "the requests are not permitted; run as root" in done.stderr


def test_without_the_module_it_says_so() -> None:
    kmod.unload()
    done = run("--count", "2")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: cannot reach the module's channels: msgchan is not loaded"
    )
    assert done.stderr.count("\n") == 1


def test_more_threads_than_processors() -> None:
    load = dataclasses.replace(Workload(), count=23, threads=17)
    assert os.cpu_count() is not None
    for outcome in drive(load):
        assert (outcome.requests, outcome.errors, outcome.mismatches) == (17 * 23, 0, 0), outcome
