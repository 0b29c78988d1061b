# SPDX-License-Identifier: GPL-2.0-or-later
"""A recorder beside another that is killed, odd files in its spool, and what ends it at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Recorder, attached
from recorders import (
    DEADLINE,
    RELAY_TGID,
    kill,
    killed_recorder,
    kprobe_events,
    relayed,
    spools,
    start_recorder,
    wait_for,
    wait_until_ready,
)

from tracer.attach.probes import Probes
from tracer.recorder.record import record_command, record_process
from tracer.run import load


@pytest.fixture(scope="module")
def relay() -> Iterator[Probes]:
    """kprobes and kretprobes everywhere, the copy by the module's relay."""
    yield from attached(attach="kprobe", copy="relay")


def test_a_living_recorder_is_left_alone(relay: Probes, tmp_path: Path) -> None:
    """While it records, one is killed and the next sweeps; the list was full of the ended."""
    events = kprobe_events(os.getpid())
    assert len(events) > 10
    dead = [subprocess.Popen(["true"]) for _ in range(14)]
    for process in dead:
        process.wait()
    others = spools()
    target = subprocess.Popen(["sleep", "1000"])

    def meanwhile() -> None:
        mine = spools() - others
        assert len(mine) == 1
        with killed_recorder(tmp_path / "killed") as (pid, command):
            full = [target.pid, command, *(process.pid for process in dead)]
            RELAY_TGID.write_text(",".join(map(str, full)))
            after = start_recorder(tmp_path / "next", "--copy", "relay", "--", "true")
            _out, said = after.communicate(timeout=DEADLINE)
            assert after.returncode == 0, said
            assert kprobe_events(pid) == []
        assert relayed() == {target.pid}
        assert kprobe_events(os.getpid()) == events
        assert spools() - others == mine
        target.kill()
        target.wait()

    record_process(tmp_path / "living", target.pid, ready=meanwhile, probes=relay)
    assert relayed() == set()
    assert load(tmp_path / "living").trusted


#: As root, then as nobody without any execution in between, and at once away.
TWO_USERS = """
import os, tempfile, threading
from contextlib import suppress
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.wire import Op

def ask():
    with MsgchanSocket() as sock:
        for token in range(1, 6):
            with suppress(OSError):  # nobody may not ask, which is an answer, too
                sock.request(Op.ECHO, b"x", token=token, reply_size=1)

def forge(uid):
    place = tempfile.mkdtemp(dir="/dev/shm")
    with open(f"{place}/{os.getpid()}-{os.getpid()}-9.sends", "wb") as file:
        file.write(b"\\1" * 64)
    os.chown(f"{place}/{os.getpid()}-{os.getpid()}-9.sends", uid, uid)
    os.chown(place, uid, uid)
    # Whole at once, or the recorder sees a traced user's directory with a stranger's file.
    os.rename(place, f"{os.environ['TRACER_SENDS']}/{uid}")

ask()
forge(4321)
os.setgroups([])
os.setresuid(65534, 65534, 65534)
thread = threading.Thread(target=ask)
thread.start()
thread.join()
os._exit(0)
"""


def test_a_program_that_changes_its_user(recorder: Recorder) -> None:
    """Both logs are taken; what lies there of a user who is not traced is told, and no more."""
    path = recorder.path / "users"
    status = record_command(path, [sys.executable, "-c", TWO_USERS], probes=recorder.probes)
    run = load(path)
    lines = run.ledger.set_index("line")
    print(lines.loc[lines.index.str.contains("spool|sends")].to_string())
    assert status == 0
    assert run.trusted, run.ledger[~run.ledger["ok"]].to_string()
    assert run.sends["tid"].nunique() == 2
    assert lines.loc["odd files in the spool", "count"] == 0
    strangers = lines.loc["files of strangers in the spool"]
    assert (strangers["count"], strangers["ok"]) == (1, True)
    assert strangers["note"].startswith("not read: 4321/")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pipe_in_the_spool_does_not_hold_the_recorder(
    probes: Probes, tmp_path: Path, number: signal.Signals
) -> None:
    """It ends as it should, and says what it found."""
    del probes  # the module stays loaded while they are attached
    script = 'mkfifo "$TRACER_SENDS/x.sends"; exec sleep 1000'
    recorder = start_recorder(tmp_path / "r", "--", "sh", "-c", script)
    wait_until_ready(tmp_path / "r", recorder)
    wait_for(lambda: list(Path("/dev/shm").glob("tracer-*/**/x.sends")), "the pipe")
    # Until it was looked at: the recorder has drained since.
    wait_for(lambda: any((tmp_path / "r" / "tasks").glob("*.parquet")), "a segment")
    recorder.send_signal(number)
    try:
        _out, said = recorder.communicate(timeout=DEADLINE / 4)
    except subprocess.TimeoutExpired:
        kill(recorder)
        pytest.fail(f"the recorder goes on {DEADLINE / 4:.0f} s after {number.name}")
    assert recorder.returncode == 128 + number
    print(said)
    run = load(tmp_path / "r")
    assert run.meta["clean"]
    line = run.ledger.set_index("line").loc["odd files in the spool"]
    assert (line["count"], line["ok"]) == (1, False)
    assert line["note"].startswith("x.sends: ")
