# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recorder that was killed (SIGKILL) leaves, and how the next one clears it away.

The module's references must come to nothing, which they do not while probes of the session are
attached: so this is no ``test_record_*``, which come last.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from recorders import (
    DEADLINE,
    killed_recorder,
    kprobe_events,
    relayed,
    spools,
    start_recorder,
    wait_for,
)

from tracer.module import kmod

REFERENCES = Path("/sys/module/msgchan/refcnt")
Tracer = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_next_recorder_clears_away_what_a_killed_one_left(
    msgchan: Path, tmp_path: Path, tracer_command: Tracer
) -> None:
    """Its kretprobes, its entry in the relay's list (the process lives), its spool.

    The module's reference goes with the process itself; the test prints how fast.
    """
    before = spools()
    with killed_recorder(tmp_path / "killed") as (pid, command):
        began = time.monotonic()
        wait_for(lambda: REFERENCES.read_text() == "0\n", "the module's references")
        print(f"module's references: 0 after {1000 * (time.monotonic() - began):.0f} ms")
        print(f"left: {len(kprobe_events(pid))} events, relay {relayed()}, {spools() - before}")
        assert len(kprobe_events(pid)) > 10
        assert relayed() == {command}
        assert len(spools() - before) == 1
        doctor = tracer_command("doctor", "--json")
        assert doctor.returncode == 0, doctor.stderr
        checks = {check["name"]: check for check in json.loads(doctor.stdout)["checks"]}
        assert checks["no leftovers"]["found"] == (
            f"kprobe events: {len(kprobe_events(pid))}, processes in the relay's list: 1, spools: 1"
        )
        after = start_recorder(tmp_path / "next", "--copy", "relay", "--", "true")
        _out, said = after.communicate(timeout=DEADLINE)
        assert after.returncode == 0, said
        assert kprobe_events(pid) == []
        assert relayed() == set()
        assert spools() == before
    kmod.unload()
    kmod.load(msgchan)
