# SPDX-License-Identifier: GPL-2.0-or-later
"""Port ids and the module's counters belong to a network namespace: others' are not ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgchan_raw as raw
import pytest
from conftest import Recorder

from tracer.clients.netlink import MsgchanSocket
from tracer.clients.wire import Op
from tracer.recorder.record import record_command

COUNT = 17
PORTID = 4711

#: Opens PORTID in a namespace of its own, talks a line of input at a time, and closes it.
NAMESAKE = f"""
import sys
import msgchan_raw as raw
with raw.opened(portid={PORTID}) as sock:
    print("open", flush=True)
    for line in sys.stdin:
        if not line.strip():
            break
        for _ in range(int(line)):
            raw.ask(sock, raw.ECHO, b"elsewhere", reply_size=9)
        print("answered", flush=True)
print("closed", flush=True)
sys.stdin.read()
"""


class Namesake:
    """A process of another network namespace with a socket of the same port id."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._expect("open")

    def ask(self, count: int) -> None:
        self._tell(f"{count}\n")
        self._expect("answered")

    def close(self) -> None:
        self._tell("\n")
        self._expect("closed")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"


@contextmanager
def namesake() -> Iterator[Namesake]:
    with subprocess.Popen(
        ["unshare", "-n", sys.executable, "-c", NAMESAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    ) as process:
        yield Namesake(process)
        process.communicate(timeout=60)


@pytest.mark.usefixtures("msgchan")
def test_a_namesake_is_not_recorded_and_does_not_end_ours(recorder: Recorder) -> None:
    """It sends, is answered, and closes its socket, while ours of the same port id goes on."""
    with (
        namesake() as other,
        recorder() as handle,
        MsgchanSocket(portid=PORTID) as sock,
    ):
        sock.request(Op.ECHO, b"before", token=1, reply_size=6)
        other.ask(COUNT)
        other.close()
        sock.request(Op.ECHO, b"after", token=2, reply_size=5)
    run = handle.run
    assert run.exchanges["token"].tolist() == [1, 2]
    assert run.exchanges["status"].eq("ok").all()
    assert run.exchanges["reply_ns"].notna().all()
    assert set(run.events["netns"]) == {run.meta["netns"]}
    line = run.ledger.set_index("line").loc["msgchan netlink requests"]
    assert (line["count"], line["other"], line["note"]) == (2, 2, "")


@pytest.mark.usefixtures("msgchan")
def test_a_program_in_a_namespace_of_its_own(recorder: Recorder) -> None:
    """Its messages are recorded; the module's counters, which are ours, do not know them."""
    path = recorder.path / "elsewhere"
    drive = [sys.executable, "-m", "tracer", "drive", "--channel", "netlink"]
    command = ["unshare", "-n", *drive, "--count", str(COUNT)]
    assert record_command(path, command, probes=recorder.probes) == 0
    run = recorder.opened(path)
    handled = run.events[run.events["point"] == "msgchan_handler"]
    echoes = run.exchanges[run.exchanges["msg_type"] == raw.REQUEST_TYPE]
    assert len(echoes) == COUNT
    assert echoes["netns"].nunique() == 1
    assert echoes["netns"].iloc[0] != os.stat("/proc/self/ns/net").st_ino
    assert set(handled["netns"]) == set(echoes["netns"])
    notes = run.ledger.set_index("line")["note"]
    assert "more in other network namespaces" in notes["msgchan netlink requests"]
