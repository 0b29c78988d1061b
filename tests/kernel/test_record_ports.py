# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings of programs with more port ids than the module's table holds, or without rights."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import Recorder
from msgchan_programs import compiled

from tracer.recorder.record import record_command

pytestmark = pytest.mark.usefixtures("msgchan")

NOBODY = ["setpriv", "--reuid=65534", "--clear-groups"]
DRIVE = [sys.executable, "-m", "tracer", "drive", "--channel", "netlink", "--count", "23"]
BY_PORT = "msgchan requests by port id"
PORTS = 5000


def many_ports(first: int, count: int, how: str) -> list[str]:
    return [str(compiled("many_ports")), str(first), str(count), how]


def test_whoever_may_not_ask_spoils_no_recording(recorder: Recorder) -> None:
    """A user without rights has sent from more port ids than the table holds."""
    flood = [*NOBODY, *many_ports(6_000_000, PORTS, "close")]
    subprocess.run(flood, check=True, stdout=subprocess.DEVNULL)
    path = recorder.path / "later"
    assert record_command(path, DRIVE, probes=recorder.probes) == 0
    run = recorder.opened(path)
    line = run.ledger.set_index("line").loc[BY_PORT]
    assert (line["count"], line["other"], line["note"]) == (23, 23, "")


def test_a_program_without_rights(recorder: Recorder) -> None:
    path = recorder.path / "refused"
    command = [*NOBODY, *many_ports(6_100_000, 23, "close")]
    assert record_command(path, command, probes=recorder.probes) == 0
    run = recorder.opened(path)
    assert run.exchanges["status"].tolist() == ["error"] * 23
    line = run.ledger.set_index("line").loc[BY_PORT]
    assert (line["count"], line["other"]) == (23, 23)
    assert line["note"] == "23 not counted by port id"


@pytest.mark.parametrize("how", ["close", "keep"])
def test_a_program_with_5000_ports(recorder: Recorder, how: str) -> None:
    path = recorder.path / how
    command = many_ports(6_200_000, PORTS, how)
    assert record_command(path, command, probes=recorder.probes) == 0
    run = recorder.opened(path)
    assert len(run.exchanges) == PORTS
    line = run.ledger.set_index("line").loc[BY_PORT]
    assert (line["count"], line["other"]) == (PORTS, PORTS)
    assert "not counted by port id" in line["note"]
