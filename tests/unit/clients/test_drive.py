# SPDX-License-Identifier: GPL-2.0-or-later
"""What a workload is made of, and what is refused before the module is asked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tracer.cli import drive as cli
from tracer.cli import main
from tracer.clients import wire
from tracer.clients.drive import Outcome, Wait
from tracer.clients.workload import Workload, token
from tracer.errors import TracerError


def test_tokens_differ_by_every_part() -> None:
    channels = ("netlink", "setsockopt", "getsockopt", "icmp")
    found = [token(1, c, t, i) for c in channels for t in range(7) for i in range(101)]
    assert len(set(found)) == len(found)
    assert all(0 < t < 2**64 for t in found)
    assert token(1, "netlink", 0, 0) == token(1, "netlink", 0, 0) != token(2, "netlink", 0, 0)


def test_a_seed_may_be_negative_or_large() -> None:
    assert 0 < token(-1, "icmp", 0, 0) < 2**64
    assert token(2**64 + 5, "icmp", 0, 0) == token(5, "icmp", 0, 0)


def test_an_echo_is_expected_cut_or_filled() -> None:
    assert Workload(size=4).expected(1) == b"\1\2\3\4"
    assert Workload(size=4, reply_size=2).expected(1) == b"\1\2"
    assert Workload(size=2, reply_size=4).expected(1) == b"\1\2\0\0"
    assert Workload(size=2, reply_size=4, op="source").expected(1) == b"\1\2\3\4"
    assert Workload(size=2, op="sink").expected(1) == b""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"handler_delay_ns": 10_000_001}, "a handler delay of 10 ms: the module takes at most"),
        ({"reply_delay_ns": 11_000_000}, "a reply delay of 11 ms"),
        ({"copy_delay_ns": -1}, "a copy delay"),
        ({"size": 65537}, "a size of 65537 bytes: the module takes at most 65536"),
        ({"reply_size": 65537, "channels": ("netlink",)}, "a reply size of 65537 bytes"),
        ({"size": 65508}, "pings of 65508 bytes: IP carries at most 65507"),
        ({"channels": ("netlink", "tipc")}, "channel tipc: there are netlink, sockopt, icmp"),
        ({"op": "shout"}, "operation shout"),
        ({"count": 0}, "at least one request"),
        ({"threads": 251}, "1 to 250 threads"),
        ({"rate": 0.0}, "a rate of 0: it must be above zero"),
    ],
)
def test_what_the_module_would_refuse_is_refused_before(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(TracerError, match=told):
        Workload(**changed).check()


@pytest.mark.parametrize(
    ("text", "ns"),
    [("50us", 50_000), ("50 µs", 50_000), ("1.5ms", 1_500_000), ("7ns", 7), ("0", 0), ("0s", 0)],
)
def test_durations_have_units(text: str, ns: int) -> None:
    assert cli.Duration().convert(text, None, None) == ns


@pytest.mark.parametrize("text", ["50", "us", "-1us", "1 minute", "", "1e3us"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        cli.Duration().convert(text, None, None)


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


def test_without_the_module_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MODULE", tmp_path / "msgchan")
    done = CliRunner().invoke(main, ["drive"])
    assert done.exit_code == 2
    assert "msgchan is not loaded; run `tracer kmod load`" in done.stderr


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
