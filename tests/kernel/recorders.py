# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorders that are processes of their own, and what they leave behind when they are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Seconds for two recorders to compile and attach their probes, one after the other.
DEADLINE = 600.0
RELAY_TGID = Path("/sys/module/msgchan/parameters/relay_tgid")
KPROBE_EVENTS = Path("/sys/kernel/tracing/kprobe_events")
TRACER = [sys.executable, "-m", "tracer"]
KILLED = ["--attach", "kprobe", "--copy", "relay", "--", "sleep", "1000"]


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; fail when it takes too long."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.001)  # paces a poll with a deadline


def start_recorder(path: Path, *arguments: str) -> subprocess.Popen[str]:
    """``tracer record`` into ``path``, which tells by a file beside it that it is ready."""
    ready = f"{path}.ready"
    return subprocess.Popen(
        [*TRACER, "record", "-o", str(path), "--ready-file", ready, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_ready(path: Path, recorder: subprocess.Popen[str]) -> None:
    """Return when the recorder's probes stand; fail when it ended instead."""
    wait_for(lambda: Path(f"{path}.ready").exists() or recorder.poll() is not None, "the probes")
    assert recorder.poll() is None, recorder.communicate()


def kill(recorder: subprocess.Popen[str]) -> None:
    """Its command lives on and holds the other end of the pipe: do not read to the end."""
    recorder.kill()
    recorder.wait()
    assert recorder.stderr is not None
    recorder.stderr.close()


@contextmanager
def killed_recorder(path: Path) -> Iterator[tuple[int, int]]:
    """A recorder of every sort of leftover, killed; its process id and its surviving command's."""
    recorder = start_recorder(path, *KILLED)
    before = relayed()
    wait_until_ready(path, recorder)
    (command,) = relayed() - before
    # The recorder is ready before it lets its command go, which ends if nobody lets it.
    wait_for(lambda: Path(f"/proc/{command}/comm").read_text() == "sleep\n", "the command")
    kill(recorder)
    try:
        yield recorder.pid, command
    finally:
        os.kill(command, signal.SIGKILL)


def relayed() -> set[int]:
    """The processes in the list of the module's relay."""
    return {int(tgid) for tgid in RELAY_TGID.read_text().strip().split(",") if tgid}


def kprobe_events(pid: int) -> list[str]:
    """The kprobe events that BCC defined for this recorder."""
    return re.findall(rf"^\S+:(kprobes/\S+_bcc_{pid}) ", KPROBE_EVENTS.read_text(), re.MULTILINE)


def spools() -> set[Path]:
    """The spools of all recorders."""
    return set(Path("/dev/shm").glob("tracer-*"))
