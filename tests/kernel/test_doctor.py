# SPDX-License-Identifier: GPL-2.0-or-later
"""What doctor finds on a real kernel, and what a missing piece makes record say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

Tracer = Callable[..., "subprocess.CompletedProcess[str]"]
BCC = Path("/usr/lib/python3/dist-packages/bcc/__init__.py")
HEADERS = Path("/lib/modules") / os.uname().release / "build"
KPROBE = Path("/sys/bus/event_source")


@contextmanager
def _moved(path: Path) -> Iterator[None]:
    """The guest's overlay takes it: this machine's file stays where it is."""
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


@contextmanager
def _covered(path: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_doctor_plans_for_this_kernel(msgchan: Path, tracer_command: Tracer) -> None:
    del msgchan
    result = tracer_command("doctor", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["possible"]
    assert all(check["ok"] for check in told["checks"])
    assert {row["site"] for row in told["plan"]} == {
        "fentry",
        "raw_tracepoint",
        "module_tracepoint",
    }


@pytest.mark.parametrize(
    ("hidden", "complaint"),
    [
        (lambda: _moved(BCC), "error: cannot record: bcc: not importable by this Python; apt "),
        (lambda: _moved(HEADERS), "is missing; apt install linux-headers-"),
        (lambda: _covered(KPROBE), "error: cannot record: kprobes: this kernel was built without"),
    ],
    ids=["bcc", "headers", "kprobes"],
)
def test_what_is_missing_is_told(
    hidden: Callable[[], AbstractContextManager[None]],
    complaint: str,
    tracer_command: Tracer,
    tmp_path: Path,
) -> None:
    with hidden():
        result = tracer_command("record", "-o", str(tmp_path / "r"), "--", "true")
        doctor = tracer_command("doctor")
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stderr.count("error:") == 1
    assert not (tmp_path / "r").exists()
    assert doctor.returncode == 1
    assert "MISSING" in doctor.stdout
