# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer record`` as a command, but for the recording itself."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
from recording_copies import ALL_CHANNELS
from run_builder import record, times

import tracer
from tracer.attach import doctor
from tracer.cli import main
from tracer.cli.record import Size
from tracer.errors import TracerError
from tracer.recorder import record as recorder

Recorded = Callable[[Path, Callable[[], None]], int]
Install = Callable[[Recorded], None]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Let the recording of a command be what the test wants; this machine may record."""
    monkeypatch.setattr(doctor, "require", lambda: None)
    monkeypatch.delenv("TRACER_SHARED", raising=False)

    def install(body: Recorded) -> None:
        def record_command(
            path: Path, _argv: Sequence[str], *_options: Any, ready: Callable[[], None], **_: Any
        ) -> int:
            return body(path, ready)

        monkeypatch.setattr(recorder, "record_command", record_command)

    return install


def full(path: Path, ready: Callable[[], None]) -> int:
    ready()
    shutil.copytree(ALL_CHANNELS, path)
    return 0


def empty(path: Path, ready: Callable[[], None]) -> int:
    ready()
    record(path, times(np.random.default_rng(1), 0))
    return 0


def run(path: Path, *options: str | Path) -> click.testing.Result:
    arguments = ["record", "-o", str(path), *map(str, options), "--", "true"]
    return click.testing.CliRunner().invoke(main, arguments)


def told(result: click.testing.Result) -> list[str]:
    """The lines of stderr, without times and without what a terminal is sent to paint them."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", result.stderr).replace("\r", "\n")
    return [re.sub(r"[\d.]+ s\)", "T)", line).strip() for line in plain.splitlines() if line]


@pytest.mark.parametrize("terminal", [False, True])
def test_attaching_ends_before_the_recording_begins(
    terminal: bool, records: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    path, mark = tmp_path / "r", tmp_path / "mark"
    seen = []

    def body(path: Path, ready: Callable[[], None]) -> int:
        ready()
        seen.append(mark.exists())
        return full(path, lambda: None)

    records(body)
    result = run(path, "--ready-file", mark)
    assert result.exit_code == 0, result.output
    assert seen == [True]
    lines = told(result)
    assert lines[0].endswith("attaching …" if terminal else "attaching ...")
    assert lines[lines.index("attaching: done (T)") :] == [
        "attaching: done (T)",
        f"recording into {path} ...",
        "recording: done (T)",
        f"{len(tracer.load(ALL_CHANNELS).events)} events, 117 exchanges",
    ]


@pytest.mark.parametrize("attached", [False, True])
def test_the_step_that_failed_is_told(attached: bool, records: Install, tmp_path: Path) -> None:
    def body(_path: Path, ready: Callable[[], None]) -> int:
        if attached:
            ready()
        raise TracerError("a", "b", "c")

    records(body)
    result = run(tmp_path / "r")
    assert result.exit_code == 2
    expected = ["attaching ...", "attaching: failed (T)", "error: a: b; c"]
    if attached:
        into = f"recording into {tmp_path / 'r'} ..."
        expected[1:2] = ["attaching: done (T)", into, "recording: failed (T)"]
    assert told(result) == expected


def test_an_empty_recording_says_why_it_may_be(records: Install, tmp_path: Path) -> None:
    records(empty)
    result = run(tmp_path / "r")
    assert result.exit_code == 0, result.output
    *_, counts, reason = told(result)
    assert counts == "0 events, 0 exchanges"
    assert reason.startswith("nothing was observed: ")
    records(full)
    assert "nothing was observed" not in run(tmp_path / "full").stderr


def test_a_recording_that_the_guest_does_not_keep(
    records: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    (tmp_path / "link").symlink_to(runs)
    (tmp_path / "runs-too").mkdir()
    records(full)
    for path, kept in [
        (runs / "a", True),
        (tmp_path / "link" / "b", True),
        (tmp_path / "runs-too" / "c", False),
        (runs / ".." / "d", False),
    ]:
        monkeypatch.setenv("TRACER_SHARED", str(runs))
        result = run(path)
        assert result.exit_code == 0, result.output
        first = told(result)[0]
        assert (first == "attaching ...") == kept
        assert kept or first == (
            f"warning: {path} is lost when the lab's guest ends; it keeps what is below {runs}"
        )
    monkeypatch.delenv("TRACER_SHARED")
    assert "warning" not in run(tmp_path / "e").stderr


def test_a_ring_size_that_cannot_be(tmp_path: Path) -> None:
    """It is said before anything is done for the recording."""
    path = tmp_path / "r"
    arguments = ["record", "-o", str(path), "--ring-size", "3M", "--", "true"]
    result = click.testing.CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "cannot make the ring: 3145728 bytes is no power of two" in result.stderr
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "size"), [("4096", 4096), ("64K", 1 << 16), ("16M", 1 << 24), ("1G", 1 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size
