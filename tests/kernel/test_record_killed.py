# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recorder leaves that is killed (SIGKILL), who clears it away, and what ends one at all."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Recorder, attached

from tracer.attach.probes import Probes
from tracer.module import kmod
from tracer.recorder.record import record_command, record_process
from tracer.run import load

DEADLINE = 1200.0
RELAY_TGID = Path("/sys/module/msgchan/parameters/relay_tgid")
REFERENCES = Path("/sys/module/msgchan/refcnt")
KPROBE_EVENTS = Path("/sys/kernel/tracing/kprobe_events")
TRACER = [sys.executable, "-m", "tracer"]
KILLED = ["--attach", "kprobe", "--copy", "relay", "--", "sleep", "1000"]

Tracer = Callable[..., "subprocess.CompletedProcess[str]"]


def _wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.001)  # paces a poll with a deadline


def _record(path: Path, *arguments: str) -> subprocess.Popen[str]:
    ready = f"{path}.ready"
    return subprocess.Popen(
        [*TRACER, "record", "-o", str(path), "--ready-file", ready, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ready(path: Path, recorder: subprocess.Popen[str]) -> None:
    _wait(lambda: Path(f"{path}.ready").exists() or recorder.poll() is not None, "the probes")
    assert recorder.poll() is None, recorder.communicate()


def _kill(recorder: subprocess.Popen[str]) -> None:
    """Its command lives on and holds the other end of the pipe: do not read to the end."""
    recorder.kill()
    recorder.wait()
    assert recorder.stderr is not None
    recorder.stderr.close()


@contextmanager
def killed_recorder(path: Path) -> Iterator[tuple[int, int]]:
    """A recorder of every sort of leftover, killed; its process id and its surviving command's."""
    recorder = _record(path, *KILLED)
    before = _relayed()
    _ready(path, recorder)
    (command,) = _relayed() - before
    _kill(recorder)
    try:
        yield recorder.pid, command
    finally:
        os.kill(command, signal.SIGKILL)


def _relayed() -> set[int]:
    return {int(tgid) for tgid in RELAY_TGID.read_text().strip().split(",") if tgid}


def _events(pid: int) -> list[str]:
    return re.findall(rf"^\S+:(kprobes/\S+_bcc_{pid}) ", KPROBE_EVENTS.read_text(), re.MULTILINE)


def _spools() -> set[Path]:
    return set(Path("/dev/shm").glob("tracer-*"))


def test_the_next_recorder_clears_away_what_a_killed_one_left(
    msgchan: Path, tmp_path: Path, tracer_command: Tracer
) -> None:
    """Its kretprobes, its entry in the relay's list (the process lives), its spool.

    The module's reference goes with the process itself; the test prints how fast.
    """
    before = _spools()
    with killed_recorder(tmp_path / "killed") as (pid, command):
        began = time.monotonic()
        _wait(lambda: REFERENCES.read_text() == "0\n", "the module's references")
        print(f"module's references: 0 after {1000 * (time.monotonic() - began):.0f} ms")
        print(f"left: {len(_events(pid))} events, relay {_relayed()}, {_spools() - before}")
        assert len(_events(pid)) > 10
        assert _relayed() == {command}
        assert len(_spools() - before) == 1
        doctor = tracer_command("doctor", "--json")
        assert doctor.returncode == 0, doctor.stderr
        checks = {check["name"]: check for check in json.loads(doctor.stdout)["checks"]}
        assert checks["no leftovers"]["found"] == (
            f"kprobe events: {len(_events(pid))}, processes in the relay's list: 1, spools: 1"
        )
        after = _record(tmp_path / "next", "--copy", "relay", "--", "true")
        _out, said = after.communicate(timeout=DEADLINE)
        assert after.returncode == 0, said
        assert _events(pid) == []
        assert _relayed() == set()
        assert _spools() == before
    kmod.unload()
    kmod.load(msgchan)


@pytest.fixture(scope="module")
def relay() -> Iterator[Probes]:
    """kprobes and kretprobes everywhere, the copy by the module's relay."""
    yield from attached(attach="kprobe", copy="relay")


def test_a_living_recorder_is_left_alone(relay: Probes, tmp_path: Path) -> None:
    """While it records, one is killed and the next sweeps; the list was full of the ended."""
    events = _events(os.getpid())
    assert len(events) > 10
    dead = [subprocess.Popen(["true"]) for _ in range(14)]
    for process in dead:
        process.wait()
    others = _spools()
    target = subprocess.Popen(["sleep", "1000"])

    def meanwhile() -> None:
        mine = _spools() - others
        assert len(mine) == 1
        with killed_recorder(tmp_path / "killed") as (pid, command):
            full = [target.pid, command, *(process.pid for process in dead)]
            RELAY_TGID.write_text(",".join(map(str, full)))
            after = _record(tmp_path / "next", "--copy", "relay", "--", "true")
            _out, said = after.communicate(timeout=DEADLINE)
            assert after.returncode == 0, said
            assert _events(pid) == []
        assert _relayed() == {target.pid}
        assert _events(os.getpid()) == events
        assert _spools() - others == mine
        target.kill()
        target.wait()

    record_process(tmp_path / "living", target.pid, ready=meanwhile, probes=relay)
    assert _relayed() == set()
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
    recorder = _record(tmp_path / "r", "--", "sh", "-c", script)
    _ready(tmp_path / "r", recorder)
    _wait(lambda: list(Path("/dev/shm").glob("tracer-*/**/x.sends")), "the pipe")
    # Until it was looked at: the recorder has drained since.
    _wait(lambda: any((tmp_path / "r" / "tasks").glob("*.parquet")), "a segment")
    recorder.send_signal(number)
    try:
        _out, said = recorder.communicate(timeout=DEADLINE / 4)
    except subprocess.TimeoutExpired:
        _kill(recorder)
        pytest.fail(f"the recorder goes on {DEADLINE / 4:.0f} s after {number.name}")
    assert recorder.returncode == 128 + number
    print(said)
    run = load(tmp_path / "r")
    assert run.meta["clean"]
    line = run.ledger.set_index("line").loc["odd files in the spool"]
    assert (line["count"], line["ok"]) == (1, False)
    assert line["note"].startswith("x.sends: ")
