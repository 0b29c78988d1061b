# SPDX-License-Identifier: GPL-2.0-or-later
"""What `tracer drive` understands, and what it prints."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner

from tracer.cli import main
from tracer.clients.drive import Outcome, Wait


@pytest.mark.parametrize(
    "options",
    [
        ["--channel", "tipc"],
        ["--handler-delay", "5"],
        ["--handler-delay", "11ms"],
        ["--size", "65537"],
        ["--count", "0"],
        ["--rate", "-1"],
        ["--threads", "0"],
    ],
)
def test_bad_input_is_one_line_and_status_2(options: list[str]) -> None:
    done = CliRunner().invoke(main, ["drive", *options])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


OUTCOME = Outcome("getsockopt", 1009, 0, 0, 12.3456, 1_234_567, 9_876_543, 98_765_432, 7_000, "")


@pytest.mark.parametrize("options", [[], ["--rate", "10"]])
def test_the_table_fits_80_columns(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.setattr("tracer.clients.drive.drive", lambda workload: [OUTCOME])
    done = CliRunner().invoke(main, ["drive", *options])
    assert done.exit_code == 0
    assert "98,765.4" in done.stdout
    assert ("7.0" in done.stdout.split()) == bool(options)
    assert "…" not in done.stdout
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 92


def test_what_was_really_waited_is_told_beside_what_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = (Wait("handler", 50_000, 50_041, 50_007, 12_345_678), Wait("copy", 0, 0, 0, 0))
    waited = dataclasses.replace(OUTCOME, waits=waits)
    monkeypatch.setattr("tracer.clients.drive.drive", lambda workload: [waited])
    printed = CliRunner().invoke(main, ["drive"]).stdout
    rows = [line.split() for line in printed.splitlines()[-2:]]
    assert rows[0] == ["channel", "delay", "asked", "ns", "waited", "p50", "ns",
                       "min", "ns", "max", "ns"]  # fmt: skip
    assert rows[1] == ["getsockopt", "handler", "50,000", "50,041", "50,007", "12,345,678"]
    (told,) = json.loads(CliRunner().invoke(main, ["drive", "--json"]).stdout)
    assert told["waits"] == [dataclasses.asdict(wait) for wait in waits]


def test_without_a_delay_nothing_is_said_of_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = dataclasses.replace(OUTCOME, waits=(Wait("handler", 0, 0, 0, 0),))
    monkeypatch.setattr("tracer.clients.drive.drive", lambda workload: [idle])
    assert "delay" not in CliRunner().invoke(main, ["drive"]).stdout


def test_a_failed_request_or_a_wrong_reply_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = dataclasses.replace(OUTCOME, errors=1, first_error="[Errno 110] no message")
    monkeypatch.setattr("tracer.clients.drive.drive", lambda workload: [failed])
    done = CliRunner().invoke(main, ["drive"])
    assert done.exit_code == 1
    assert "getsockopt: first error: [Errno 110] no message" in done.stdout
    wrong = dataclasses.replace(OUTCOME, mismatches=1)
    monkeypatch.setattr("tracer.clients.drive.drive", lambda workload: [wrong])
    assert CliRunner().invoke(main, ["drive", "--json"]).exit_code == 1
