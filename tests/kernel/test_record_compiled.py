# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiled probes are kept: a second recorder needs no compiler."""

from __future__ import annotations

from pathlib import Path

import pytest
from properties import check

from tracer.attach import libbcc
from tracer.clients.drive import Workload, drive
from tracer.recorder.record import capture
from tracer.recorder.session import Options, attach

COUNT = 7


@pytest.mark.usefixtures("msgchan")
def test_a_second_recorder_needs_no_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACER_COMPILED", str(tmp_path / "compiled"))
    attach(Options()).close()

    def no_compiler(_text: str, _flags: list[str]) -> None:
        pytest.fail("compiled again")

    monkeypatch.setattr(libbcc, "compiled", no_compiler)
    # The size of the ring is no part of the program.
    with capture(tmp_path / "recording", Options(ring=1 << 20)) as handle:
        drive(Workload(("netlink", "sockopt"), COUNT))
    check(handle.run)
    assert handle.run.exchanges["channel"].value_counts()["netlink"] >= COUNT
