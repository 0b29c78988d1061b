# SPDX-License-Identifier: GPL-2.0-or-later
"""Recording as a user does it: commands, processes, signals, losses and misuse."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import Recorder
from msgchan_programs import compiled

from tracer.attach.probes import Probes
from tracer.errors import TracerError
from tracer.recorder.record import record_command, record_process
from tracer.recorder.session import Options
from tracer.run import load

DEADLINE = 600.0


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)  # paces a poll with a deadline


def _tracer(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tracer", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _hooked() -> list[str]:
    """Functions that something hooks, BPF trampolines included, and how many hook each."""
    listing = Path("/sys/kernel/tracing/enabled_functions").read_text()
    return sorted(line.partition(")")[0] for line in listing.splitlines() if "(" in line[:80])


@contextmanager
def family(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that runs ``script``; at the end it and all that it started are killed."""
    with subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    ) as shell:
        yield shell
        os.killpg(shell.pid, signal.SIGKILL)


def test_the_status_of_the_command_wins(recorder: Recorder) -> None:
    status = record_command(recorder.path / "a", ["sh", "-c", "exit 42"], probes=recorder.probes)
    assert status == 42
    killed = record_command(
        recorder.path / "b", ["sh", "-c", "kill -TERM $$"], probes=recorder.probes
    )
    assert killed == 128 + signal.SIGTERM
    assert recorder.opened(recorder.path / "a").exchanges.empty


def test_a_command_that_does_not_exist(recorder: Recorder) -> None:
    """Told before anything is attached, so that nobody waits for the probes in vain."""
    with pytest.raises(TracerError, match="cannot run no-such-command"):
        record_command(recorder.path / "a", ["no-such-command"], probes=recorder.probes)
    assert not (recorder.path / "a").exists()


def test_a_command_that_only_the_execution_refuses(recorder: Recorder) -> None:
    script = recorder.path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(TracerError, match=r"cannot run .*script: No such file or directory"):
        record_command(recorder.path / "a", [str(script)], probes=recorder.probes)
    assert load(recorder.path / "a").meta["clean"]


def test_children_are_followed(recorder: Recorder) -> None:
    path = recorder.path / "children"
    script = f"{compiled('seed_004')} & {compiled('seed_000')}; wait"
    assert record_command(path, ["sh", "-c", script], probes=recorder.probes) == 0
    run = recorder.opened(path)
    assert sorted(run.exchanges["channel"]) == ["getsockopt", "netlink", "setsockopt"]
    assert run.exchanges["tgid"].nunique() == 2
    assert set(run.exchanges["comm"]) == {"seed_004", "seed_000"}


def test_a_running_process(recorder: Recorder) -> None:
    """Its sockets were bound, and it was waiting in a receive call, before anybody traced it."""
    with subprocess.Popen(
        [str(compiled("icmp_listener"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline()

        def ready() -> None:
            subprocess.run(
                ["ping", "-c", "2", "-i", "0.002", "127.0.0.1"], check=True, capture_output=True
            )

        path = recorder.path / "process"
        record_process(path, listener.pid, duration=1.0, ready=ready, probes=recorder.probes)
        listener.kill()
    run = recorder.opened(path, full=False)
    notes = run.exchanges.query("channel == 'notify'")
    assert len(notes) == 4
    assert notes["reply_ns"].notna().all()


def test_the_descendants_of_a_running_process(recorder: Recorder) -> None:
    """A grandchild that waits with bound sockets: its notes are there as in the test before."""
    with family(f"({compiled('icmp_listener')}; :) & wait") as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline()

        def ready() -> None:
            subprocess.run(
                ["ping", "-c", "2", "-i", "0.002", "127.0.0.1"], check=True, capture_output=True
            )

        path = recorder.path / "family"
        record_process(path, shell.pid, duration=1.0, ready=ready, probes=recorder.probes)
    run = recorder.opened(path, full=False)
    assert len(run.meta["traced"]) == 3
    notes = run.exchanges.query("channel == 'notify'")
    assert len(notes) == 4
    assert notes["reply_ns"].notna().all()
    assert set(notes["tgid"].dropna()) == set(run.meta["traced"][2:])


def test_children_that_come_and_go_while_they_are_found(recorder: Recorder) -> None:
    """Two that start programs all the time, one of them in namespaces of its own."""
    loop = "while ip link show; do :; done >/dev/null"
    script = f"({loop}) & unshare -m -n sh -c 'echo; {loop}' & wait"
    with family(script) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline()
        path = recorder.path / "loops"
        record_process(path, shell.pid, duration=2.0, probes=recorder.probes)
    run = recorder.opened(path, full=False)
    asked = run.exchanges[run.exchanges["comm"] == "ip"]
    home = asked["netns"] == os.stat("/proc/self/ns/net").st_ino
    assert home.any()
    assert not home.all()
    assert asked["tgid"].nunique() > 3


def test_more_descendants_than_the_relay_lists(probes: Probes, tmp_path: Path) -> None:
    """The first 16 are listed; the last, one of whose children asks, is reported all the same."""
    del probes
    from tracer.recorder.session import attach

    sleepers = "for i in $(seq 20); do sleep 1000 & done"
    script = f"{sleepers}; (echo; while {compiled('seed_000')}; do :; done >/dev/null) & wait"
    relay = attach(Options(copy="relay"))
    try:
        with family(script) as shell:
            assert shell.stdout is not None
            assert shell.stdout.readline()
            record_process(tmp_path / "r", shell.pid, duration=2.0, probes=relay)
    finally:
        relay.close()
    run = load(tmp_path / "r")
    assert run.trusted, run.ledger[~run.ledger["ok"]].to_string()
    assert len(set(run.meta["traced"])) == len(run.meta["traced"]) >= 22
    asked = run.exchanges.query("channel == 'getsockopt' and status == 'ok'")
    assert not asked.empty
    assert asked["copy_ns"].notna().all()


def test_no_such_process(recorder: Recorder) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(TracerError, match=f"cannot record process {gone.pid}: there is no such"):
        record_process(recorder.path / "a", gone.pid, probes=recorder.probes)


def test_a_duration_ends_the_command(recorder: Recorder) -> None:
    status = record_command(
        recorder.path / "a", ["sleep", "1000"], duration=0.3, probes=recorder.probes
    )
    assert status == 128 + signal.SIGTERM
    assert load(recorder.path / "a").meta["clean"]


def test_a_ring_that_overflows_says_so(probes: Probes, tmp_path: Path) -> None:
    """Nothing is drained until the ring is full: what is lost is counted, by point."""
    del probes  # attached already; this ring is a second, tiny one
    from tracer.recorder.session import attach

    tiny = attach(Options(ring=4096))
    try:
        script = f"for i in $(seq 30); do {compiled('seed_004')} & done; wait"
        record_command(tmp_path / "r", ["sh", "-c", script], probes=tiny)
    finally:
        tiny.close()
    run = load(tmp_path / "r")
    assert not run.trusted
    line = run.ledger.set_index("line").loc["ring full"]
    assert line["count"] > 0
    assert "--ring-size" in line["note"]
    assert (run.exchanges["unexplained_ns"] >= 0).all()


def test_ctrl_c_and_two_recorders_at_once(msgchan: Path, tmp_path: Path) -> None:
    """Both record their own command; one ends by itself, the other by SIGINT, both balance.

    The first one's command waits while the second attaches and leaves: the kernel renews the
    trampoline of a function for each, and skips fexit for who is inside of it at that moment
    (bpf_tramp_image_put() in kernel/bpf/trampoline.c).
    """
    del msgchan
    hooked = _hooked()
    drive = [sys.executable, "-m", "tracer", "drive", "--channel", "all", "--count", "101"]
    one, two = tmp_path / "one", tmp_path / "two"
    script = f"{shlex.join(drive)}; : >{one}.driven; exec sleep 1000"
    first = _tracer(
        "record", "-o", str(one), "--ready-file", f"{one}.ready", "--", "sh", "-c", script
    )
    _wait(lambda: Path(f"{one}.driven").exists())
    second = _tracer("record", "-o", str(two), "--", *drive)
    refused = _tracer("record", "-o", str(one), "--", "true")
    output = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0, output
    _wait(lambda: any((one / "send_calls").glob("*.parquet")))
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=DEADLINE)
    assert first.returncode == 130 or first.returncode == 128 + signal.SIGINT, said
    _out, complaint = refused.communicate(timeout=DEADLINE)
    assert refused.returncode == 2
    assert "cannot record into" in complaint
    for path in (one, two):
        run = load(path)
        assert run.meta["clean"]
        assert run.trusted, run.ledger[~run.ledger["ok"]].to_string()
        assert len(run.exchanges) > 0
    assert _hooked() == hooked, "probes are still attached"


def test_a_full_disk_keeps_what_was_recorded(recorder: Recorder) -> None:
    disk = recorder.path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=True)
    try:
        filler = disk / "filler"
        script = f"for i in $(seq 60); do {compiled('seed_004')}; done"

        def fill() -> None:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(b"\0" * 4096)

        with pytest.raises(TracerError, match="No space left on device") as failure:
            record_command(disk / "r", ["sh", "-c", script], ready=fill, probes=recorder.probes)
        assert "free some space" in str(failure.value)
        assert not load(disk / "r").trusted
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("size", [1000, 5000, 3 << 20])
def test_a_ring_size_that_cannot_be(probes: Probes, size: int) -> None:
    del probes
    from tracer.recorder.session import attach

    with pytest.raises(TracerError, match=f"{size} bytes is no power of two"):
        attach(Options(ring=size))


def test_not_root(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    result = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
            sys.executable,
            "-m",
            "tracer",
            "record",
            "-o",
            str(tmp_path / "r"),
            "--",
            "true",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "cannot record: root: uid 65534; run as root" in result.stderr
