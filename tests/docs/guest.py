# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in the lab's guest: the commands that the pages put behind ``tracer lab --``.

``guest.py FILE``: FILE holds a JSON list of ``{"directory", "argv"}``; beside it ``N.json`` is
written for the Nth: ``{"status", "output"}``. All share one guest, and those that are Python share
probes that are compiled once, which is where the time would go.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import tracer.recorder.session
from tracer.attach.plan import Plan
from tracer.attach.probes import Probes
from tracer.cli import main
from tracer.module import kmod
from tracer.recorder.session import Options

TIMEOUT = 600
genuine = tracer.recorder.session.attach


class Lent:
    """Attached probes that stay attached when a recording is done with them."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._probes, name)

    def close(self) -> None:
        """Forget whom they traced."""
        self._probes.forget()


@cache
def probes() -> Probes:
    """Attached from the first recording on; from then on msgchan cannot be unloaded."""
    return genuine(Options())


def attach(options: Options, plan: Plan | None = None) -> Any:
    """As :func:`tracer.recorder.session.attach`, but with default options the probes that stand."""
    return Lent(probes()) if options == Options() else genuine(options, plan)


def run_here(argv: list[str]) -> int:
    """``tracer ...`` or ``python FILE ...`` in this process."""
    try:
        if argv[0] == "tracer":
            main(argv[1:], prog_name="tracer")
        else:
            sys.argv = argv[1:]
            runpy.run_path(argv[1], run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def run(argv: list[str]) -> int:
    """The command as a process of its own."""
    try:
        return subprocess.run(
            argv, timeout=TIMEOUT, stdin=subprocess.DEVNULL, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return 124


def captured(step: Callable[[], int]) -> dict[str, int | str]:
    """The status of ``step`` and all that it and its children wrote, in order."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1), os.dup(2)
        sys.stdout.flush()
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            status = step()
            sys.stdout.flush()
        finally:
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])
        file.seek(0)
        return {"status": status, "output": file.read().decode(errors="replace")}


def as_booted() -> None:
    """msgchan loaded with its default parameters, whatever the order before did."""
    status = kmod.status()
    if status.loaded and any(status.parameters[name] != v for name, v in kmod.DEFAULTS.items()):
        kmod.unload()
    kmod.load(Path(os.environ["TRACER_MSGCHAN_KO"]))


def session(orders: Path) -> None:
    """Run every order and write its result."""
    tracer.recorder.session.attach = attach
    for number, order in enumerate(json.loads(orders.read_text())):
        os.chdir(order["directory"])
        as_booted()
        step = run_here if order["argv"][0] in ("tracer", "python") else run
        result = captured(partial(step, order["argv"]))
        orders.with_name(f"{number}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    session(Path(sys.argv[1]))
