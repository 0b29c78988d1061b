# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of a report: whole at 80 and 100 columns, coloured on a terminal, exit statuses."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from report_doubles import NETLINK, exchanges, run, untrusted
from rich.console import Console

from tracer.cli import main
from tracer.cli import report as cli
from tracer.report.text import render


def text(made: Any, width: int = 100, terminal: bool = False) -> str:
    out = io.StringIO()
    kind: dict[str, Any] = {"force_terminal": True, "color_system": "standard"} if terminal else {}
    render(made, Console(file=out, width=width, highlight=False, **kind))
    return out.getvalue()


@pytest.mark.parametrize("name", ["msgchan request", "n" * 200])
def test_what_does_not_fit_runs_over(name: str) -> None:
    shown = text(run(frame=exchanges(10007, "getsockopt", name, NETLINK)), width=40)
    assert "…" not in shown
    assert f"{10007 * 200:,}" in shown


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_number_is_cut(width: int) -> None:
    big = exchanges(101, "getsockopt", "msgchan request", {**NETLINK, "handler": 123_456_789})
    shown = text(run(frame=big), width)
    assert "…" not in shown
    assert "12,469.136" in shown  # ms
    assert "1,234,567" in shown
    assert max(map(len, shown.splitlines())) <= width


def test_it_has_every_part() -> None:
    shown = text(run())
    for part in (
        "tracer drive --count 101 'a b'",
        "6.1.0-56-amd64 x86_64",
        "CLOCK_MONOTONIC from tsc",
        "2.500 s",
        "0 events, 1 sends, 124 exchanges",
        "Attach plan",
        "fentry/fexit",
        "[lib]",
        "Stages of netlink, msgchan echo (ns)",
        "Stages of getsockopt, msgchan request (ns)",
        "unexplained",
        "Sizes (bytes)",
        "Outcomes",
        "ok 101",
        "exact 23",
        "Ledger",
        "303 of others",
        "trusted: yes",
    ):
        assert part in shown, part


def test_a_stage_line_reads_as_a_table() -> None:
    shown = text(run())
    found = [line.split() for line in shown.splitlines() if re.match("handler .*%", line)]
    assert found == [
        ["handler", "23", "480", "840", "920", "920", "40.0%"],
        ["handler", "101", "2,550", "4,550", "5,000", "5,050", "25.0%"],
    ]


def test_an_untrusted_run_says_why() -> None:
    shown = text(untrusted())
    assert "trusted: NO" in shown
    assert "handler calls: module 1,234,567, probe 1,234,566, difference +1" in shown


def test_colours_on_a_terminal_only() -> None:
    assert "\x1b[" in text(run(), terminal=True)
    assert "\x1b[" not in text(run())


def test_losses_are_in_the_header() -> None:
    assert "events/000001.parquet: lost" in text(run(damage=["events/000001.parquet: lost"]))


def test_an_empty_run() -> None:
    nothing = exchanges(1, "netlink", "x", NETLINK).iloc[:0]
    assert "no exchange was completed" in text(run(frame=nothing))


def test_the_exit_status_tells_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load", lambda directory: run())
    done = CliRunner().invoke(main, ["report", "runs/one"])
    assert (done.exit_code, done.stderr) == (0, "")
    monkeypatch.setattr(cli, "load", lambda directory: untrusted())
    done = CliRunner().invoke(main, ["report", "runs/one"])
    assert done.exit_code == 1
    assert "trusted: NO" in done.stdout


def test_json_keeps_the_reasons_out_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load", lambda directory: untrusted())
    done = CliRunner().invoke(main, ["report", "runs/one", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["trusted"] is False
    assert done.stderr.startswith("untrusted: handler calls")


def test_a_missing_recording_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: cannot open the recording")
    assert done.stderr.count("\n") == 1
