# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer doctor`` as a command."""

from __future__ import annotations

import json
import re

import click.testing
import pytest

from tracer.attach import doctor
from tracer.attach.plan import Offer
from tracer.cli import doctor as cli
from tracer.cli import main
from tracer.errors import TracerError

HEADERS = "linux-headers-6.1.0-56-cloud-amd64-with-a-name-that-fills-more-than-a-line"
MENDED = f"apt install {HEADERS}, and use a venv of /usr/bin/python3 with system site packages"


@pytest.fixture(autouse=True)
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that lacks something whose remedy is long."""
    checks = [
        doctor.Check("root", True, "uid 0", "run as root"),
        doctor.Check("kernel headers", False, f"/lib/modules/{'x' * 90} is missing", MENDED),
    ]
    monkeypatch.setattr(doctor, "checks", lambda: iter(checks))
    monkeypatch.setattr(cli.ready, "kernel", lambda: "6.1.0-56-amd64")


def told(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["doctor", *arguments])


@pytest.fixture
def nothing_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which everything is as it should be."""
    every = frozenset({"__sys_sendto"})
    monkeypatch.setattr(doctor, "checks", lambda: iter([doctor.Check("root", True, "uid 0", "")]))
    monkeypatch.setattr(
        doctor, "offer", lambda: Offer(every, every, fentry="", module=False, breakpoint=False)
    )


def test_what_works_here_comes_first() -> None:
    result = told()
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:4] == [
        "record  no: missing: kernel headers",
        "read    yes: tracer report, compare and export, of recordings made anywhere",
        "lab     yes: tracer lab -- COMMAND, with kernel 6.1.0-56-amd64 and msgchan",
        "",
    ]


@pytest.mark.usefixtures("nothing_missing")
def test_where_recording_works_the_plan_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = type("Plan", (), {"as_rows": lambda self: []})()
    monkeypatch.setattr(cli, "make_plan", lambda offer: plan)
    result = told()
    assert result.exit_code == 0
    assert result.stdout.startswith("record  yes: tracer record, with the plan below\n")
    assert json.loads(told("--json").stdout)["possible"]


@pytest.mark.usefixtures("nothing_missing")
def test_where_no_plan_can_be_made_that_is_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(offer: Offer) -> None:
        raise TracerError("no plan", "no site for [sendto]", "use another kernel")

    monkeypatch.setattr(cli, "make_plan", refuse)
    result = told()
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "record  no: no plan: no site for [sendto]; use another kernel\n"
    )


def test_what_reading_and_the_lab_lack_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_kernel() -> str:
        raise TracerError("no kernel to boot", "/boot holds no vmlinuz-*", "run make setup")

    monkeypatch.setattr(cli.ready, "kernel", no_kernel)
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "pandas" else name)
    assert told().stdout.splitlines()[1:3] == [
        "read    no: this Python lacks pandas: install tracer with pip",
        "lab     no: /boot holds no vmlinuz-*; run make setup",
    ]


def test_json_says_the_same() -> None:
    result = told("--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["possible"] is False
    assert found["works"]["record"] == {"ok": False, "why": "missing: kernel headers"}
    assert [name for name, ability in found["works"].items() if ability["ok"]] == ["read", "lab"]
    assert [check["name"] for check in found["checks"]] == ["root", "kernel headers"]
    assert found["plan"] == []


def test_a_line_on_a_pipe_is_as_long_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = click.testing.CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    line = next(x for x in result.stdout.splitlines() if x.startswith("kernel headers"))
    assert (
        line.split(None, 2)[2].rstrip() == f"MISSING  /lib/modules/{'x' * 90} is missing  {MENDED}"
    )
    assert "…" not in result.stdout


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_that_is_too_narrow_folds(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = click.testing.CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "…" not in result.stdout
    lines = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout).splitlines()
    assert max(map(len, lines)) <= columns
    # Each cell goes on in its own column.
    (head,) = [number for number, line in enumerate(lines) if "to mend it" in line]
    begin = lines[head].index("to mend it")
    folded = "".join(line[begin:] for line in lines[head:]).replace(" ", "")
    assert MENDED.replace(" ", "") in folded
