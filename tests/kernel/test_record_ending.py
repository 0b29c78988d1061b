# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings that end in the middle of something: what they may lack is what was open then."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Recorder
from msgchan_programs import compiled

from tracer.clients.netlink import MsgchanSocket
from tracer.clients.sockopt import SockoptClient
from tracer.clients.wire import Op
from tracer.frames.ledger import balance
from tracer.frames.slack import Slack, slack_of
from tracer.recorder.record import capture, record_command, record_process
from tracer.recording.format import KINDS
from tracer.run import Run, load

DEADLINE = 600.0
#: Exchanges that a channel has at least where its counters are edited.
ENOUGH = 5


def drive(channel: str) -> list[str]:
    """Two threads that send for longer than any test takes.

    The handler holds each request for a while: so a thread is nearly always inside a call when
    it is ended, and a recording holds hundreds of requests, not tens of thousands. Memory is
    reserved for each request, so there is no asking for a billion of them.
    """
    command = [sys.executable, "-m", "tracer", "drive", "--channel", channel]
    return [*command, "--count", "1000000", "--threads", "2", "--handler-delay", "2ms"]


DRIVE = drive("netlink")
THREADS = 3
#: How long the handler holds a request of the threads of this process.
HELD_NS = 1_000_000


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)  # paces a poll with a deadline


def until_recorded(path: Path) -> None:
    """Return when the recording at ``path`` has written events of some seconds."""
    wait_for(lambda: len(list((path / "send_calls").glob("*.parquet"))) >= 3)


@contextmanager
def when_recorded(path: Path, *targets: str) -> Iterator[None]:
    """SIGINT to the command of this process, or to this process, once events were written."""

    def interrupt() -> None:
        until_recorded(path)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        pids = {"recorder": [os.getpid()], "command": [int(pid) for pid in children]}
        for target in targets:
            for pid in pids[target]:
                os.kill(pid, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    thread.join()


def slack_in(run: Run) -> Slack:
    rows = {kind: getattr(run._recording, kind) for kind in KINDS}
    return slack_of(run.meta, rows, run._correlation)


def edited(run: Run, factor: int) -> pd.DataFrame:
    """The ledger, had the module counted ``factor`` times what it did while we recorded."""
    meta: dict[str, Any] = copy.deepcopy(run.meta)
    before, after = (meta["stats"][name]["counters"] for name in ("before", "after"))
    for channel in ("netlink", "setsockopt", "getsockopt"):
        counted = after[channel]["told"] - before[channel]["told"]
        after[channel]["told"] = before[channel]["told"] + factor * counted
    return balance(replace(run._recording, meta=meta), run._correlation)


def busy(run: Run) -> list[str]:
    """The channels of which counters at nothing, and doubled, would be others than they are."""
    counts = run.exchanges["channel"].value_counts()
    return [name for name in ("netlink", "getsockopt") if counts.get(name, 0) >= ENOUGH]


def logged_at_the_end(run: Run) -> int:
    """Entries of the log that were under way while the threads were let go, one by one."""
    end = run.meta["end"]
    return int((run.sends["end_ns"] >= end["stopping_ns"]).sum())


def check_ended(run: Run, *, threads: int) -> None:
    """It balances, with no more slack than there was, and edited counters are found.

    Each thread was inside at most one request; what it logged while tracing stopped may be unseen.
    """
    assert run.trusted, run.ledger[~run.ledger["ok"]].to_string()
    assert busy(run)
    slack = slack_in(run)
    assert slack.handlers.total() <= threads
    assert slack.requests.total() <= threads
    assert slack.unlogged.total() + slack.unlogged_reads <= threads
    assert slack.unseen.total() + slack.unseen_receives <= logged_at_the_end(run)
    for factor in (0, 2):  # the counters at nothing, and doubled
        ledger = edited(run, factor)
        wrong = set(ledger.loc[~ledger["ok"], "line"])
        assert {f"msgchan {channel} requests" for channel in busy(run)} <= wrong, factor


@pytest.mark.parametrize("channel", ["netlink", "sockopt"])
def test_a_duration_that_ends_busy_threads(recorder: Recorder, channel: str) -> None:
    """SIGTERM kills them between two instructions: at most the last call of each lacks its log."""
    for attempt, seconds in enumerate((6.0, 30.0, 120.0)):
        path = recorder.path / f"duration-{attempt}"
        status = record_command(path, drive(channel), duration=seconds, probes=recorder.probes)
        assert status == 128 + signal.SIGTERM
        run = load(path)
        if busy(run):
            break
    check_ended(run, threads=THREADS)
    assert run.meta["end"]["open"] == []
    assert slack_in(run).requests.total() == slack_in(run).handlers.total() == 0


@pytest.mark.parametrize("targets", [("recorder",), ("command", "recorder")])
def test_ctrl_c(recorder: Recorder, targets: tuple[str, ...]) -> None:
    """To the recorder alone, or, as from a terminal, to the command as well."""
    path = recorder.path / "r"
    with when_recorded(path, *targets):
        record_command(path, DRIVE, probes=recorder.probes)
    run = load(path)
    check_ended(run, threads=THREADS)
    assert run.meta["end"]["open"] == []


def test_a_command_that_was_killed_by_another(recorder: Recorder) -> None:
    """Nobody interrupted the recording, but the kernel tells that the threads were killed."""
    path = recorder.path / "r"

    def kill() -> None:
        until_recorded(path)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert record_command(path, DRIVE, probes=recorder.probes) == 128 + signal.SIGKILL
    thread.join()
    run = load(path)
    assert run.meta["end"]["interrupted_ns"] is None
    check_ended(run, threads=THREADS)
    assert run.meta["end"]["cut"]


def test_a_command_that_comes_to_its_end_has_no_slack(recorder: Recorder) -> None:
    path = recorder.path / "r"
    assert record_command(path, [str(compiled("seed_004"))], probes=recorder.probes) == 0
    run = recorder.opened(path)
    assert (run.meta["end"]["open"], run.meta["end"]["cut"]) == ([], [])


def test_busy_threads_of_a_running_process(recorder: Recorder) -> None:
    """They go on: what they were inside of is told by point and port, and is all that may lack."""
    with subprocess.Popen(DRIVE, stdout=subprocess.DEVNULL) as program:
        try:
            wait_for(lambda: len(os.listdir(f"/proc/{program.pid}/task")) >= THREADS)
            for attempt in range(3):
                path = recorder.path / f"process-{attempt}"
                record_process(path, program.pid, duration=3.0, probes=recorder.probes)
                run = load(path)
                check_ended(run, threads=THREADS)
                told = run.meta["end"]["open"]
                assert {call["tgid"] for call in told} <= {program.pid}
                assert len({call["tid"] for call in told}) <= THREADS
        finally:
            program.kill()


def test_threads_that_log_and_go_on(recorder: Recorder) -> None:
    """A block of a program whose other threads are busy: their last calls may be cut off."""
    over = threading.Event()
    sent = threading.Barrier(3, timeout=DEADLINE)

    def ask() -> None:
        with MsgchanSocket() as socket:
            for token in range(1, 1 << 30):
                socket.request(Op.ECHO, b"x", token=token, reply_size=1, handler_delay_ns=HELD_NS)
                if token == 40:
                    sent.wait()
                if over.is_set():
                    return

    def options() -> None:
        with SockoptClient() as client:
            for token in range(1, 1 << 30):
                client.get(Op.ECHO, b"x", token=token, reply_size=1, handler_delay_ns=HELD_NS)
                if token == 80:
                    sent.wait()
                if over.is_set():
                    return

    for attempt in range(5):
        over.clear()
        path = recorder.path / f"block-{attempt}"
        threads = [threading.Thread(target=work) for work in (ask, options)]
        try:
            with capture(path, probes=recorder.probes) as handle:
                for thread in threads:
                    thread.start()
                sent.wait()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        check_ended(handle.run, threads=2)
