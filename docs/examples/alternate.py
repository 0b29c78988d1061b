# SPDX-License-Identifier: GPL-2.0-or-later
"""Record two sides in turn: ``python alternate.py DIR RUNS``, as root where msgchan is loaded.

The probes are compiled and attached once for all runs. Here the new side differs by a busy-wait in
the module's handler; in earnest it is two builds of a program, each run recorded by
``record_command(path, ["./program"], probes=probes)``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tracer.clients.drive import Workload, drive
from tracer.recorder.record import capture
from tracer.recorder.session import Options, attach

SIDES = {"base": 0, "new": 20_000}

directory, runs = Path(sys.argv[1]), int(sys.argv[2])
probes = attach(Options())
for number in range(runs):
    for side, delay in SIDES.items():
        with capture(directory / side / f"{number:02}", probes=probes):
            drive(Workload(("netlink",), count=300, handler_delay_ns=delay))
probes.close()
