# SPDX-License-Identifier: GPL-2.0-or-later
"""What the ring may hold, and a drain that fails: nothing recorded is lost, no command is ended."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import Recorder
from msgchan_programs import compiled

from tracer.attach.ring import Ring
from tracer.event import RECORD_DTYPE, RECORD_POINTS
from tracer.recorder.decode import Decoder
from tracer.recorder.record import record_command, record_process
from tracer.run import load


def odd_record() -> np.ndarray[Any, Any]:
    """As the reader once took it from a ring in which it was not yet written."""
    return np.zeros(1, RECORD_DTYPE)


def test_a_record_that_nobody_understands(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs itself and the trust in the recording; all else is there."""
    read = Ring.read
    given = [odd_record()]

    def with_odd(ring: Ring) -> np.ndarray[Any, Any]:
        records = read(ring)
        return np.concatenate([given.pop(), records]) if given and records.size else records

    monkeypatch.setattr(Ring, "read", with_odd)
    path = recorder.path / "odd"
    assert record_command(path, [str(compiled("seed_004"))], probes=recorder.probes) == 0
    run = load(path)
    assert not given
    assert run.ledger.loc[~run.ledger["ok"], "line"].tolist() == ["records not understood"]
    line = run.ledger.set_index("line").loc["records not understood"]
    assert (line["count"], line["note"]) == (1, "kind 0, point 0")
    assert run.exchanges["status"].tolist() == ["ok"]


class FailingDecoder(Decoder):
    """Decodes until it meets a getsockopt; then it fails, as for want of memory.

    When a receive was drained it lets the command, which waits at the FIFO, go on.
    """

    gate: Path | None = None

    def __call__(self, records: np.ndarray[Any, Any]) -> tuple[pa.Table, pa.Table]:
        # The point is the fourth byte of a record's last word.
        points = {RECORD_POINTS[code] for code in (records["words"][:, 15] >> 24 & 0xFF).tolist()}
        if "getsockopt" in points:
            raise MemoryError("no memory for the next block")
        if self.gate and "recv" in points:
            self.gate.write_text("go on\n")
        return super().__call__(records)


def test_a_drain_that_fails_keeps_what_was_recorded_and_the_command(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, gate, done = (recorder.path / name for name in ("recording", "gate", "done"))
    os.mkfifo(gate)
    monkeypatch.setattr("tracer.recorder.session.Decoder", FailingDecoder)
    monkeypatch.setattr(FailingDecoder, "gate", gate)
    script = f"{compiled('seed_004')}; read line <{gate}; {compiled('seed_000')}; : >{done}"
    with pytest.raises(MemoryError, match="no memory for the next block"):
        record_command(path, ["sh", "-c", script], probes=recorder.probes)
    assert done.exists(), "the command was ended"
    assert "recording stopped: no memory for the next block" in caplog.text
    run = load(path)
    assert not run.trusted
    assert run.exchanges["channel"].tolist() == ["netlink"]


def test_a_process_whose_recording_fails_goes_on(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracer.recorder.session.Decoder", FailingDecoder)
    loop = f"echo; while {compiled('seed_000')}; do :; done >/dev/null"
    with subprocess.Popen(["sh", "-c", loop], stdout=subprocess.PIPE, process_group=0) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline()
        with pytest.raises(MemoryError, match="no memory for the next block"):
            record_process(recorder.path / "r", shell.pid, duration=60, probes=recorder.probes)
        assert shell.poll() is None
        os.killpg(shell.pid, signal.SIGKILL)
