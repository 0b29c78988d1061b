# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary of a recording: one screen, whole at 80 columns, and the same numbers as the rest."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from plot_doubles import crowded, staged
from report_doubles import GET, LEDGER, NETLINK, exchanges, run, untrusted
from rich.console import Console

from tracer.cli import main
from tracer.colours import STAGE_COLOURS
from tracer.report import screen
from tracer.run import load

RECORDING = Path(__file__).parents[2] / "data" / "all-channels"
RUNS = {"by hand": staged, "lab": lambda: load(RECORDING), "crowded": crowded, "small": run}
LINES = 60


def shown(made: Any, terminal: bool = False) -> str:
    out = io.StringIO()
    kind: dict[str, Any] = {"force_terminal": True, "color_system": "truecolor"} if terminal else {}
    screen.render(made, Console(file=out, width=100, highlight=False, **kind))
    return out.getvalue()


def many(count: int) -> Any:
    """Types of which each next one takes less time, with names that are too long."""
    frames = [
        exchanges(3, "netlink", f"family {n} with a name that goes on", {"handler": 1000 - n})
        for n in range(count)
    ]
    return run(frame=pd.concat(frames, ignore_index=True))


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_it_fits_one_screen(name: str, terminal: bool) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(RUNS[name](), terminal))
    lines = text.rstrip("\n").split("\n")
    assert len(lines) <= LINES
    assert [line for line in lines[:-3] if len(line.rstrip()) > screen.WIDTH] == []
    assert ("\x1b[" in shown(RUNS[name](), terminal)) == terminal


def test_it_fits_whatever_was_recorded() -> None:
    ledger = pd.concat([LEDGER.assign(ok=False, line="a line that fails " * 9)] * 20)
    made = many(40)
    made.ledger, made.trusted = ledger, False
    lines = shown(made).rstrip("\n").split("\n")
    assert len(lines) <= LINES
    assert "trusted: NO, 40 of 40 lines of the ledger do not balance" in lines
    assert "  and 35 more: --ledger" in lines
    assert "and 32 more types, which took less time: --full" in lines
    assert [line for line in lines[:-3] if len(line.rstrip()) > screen.WIDTH] == []


def test_the_types_with_the_most_time_come_first() -> None:
    """40 rare and slow ones matter less than 400 that are not so slow."""
    rare = exchanges(2, "netlink", "rare", {"handler": 50_000})
    often = exchanges(400, "netlink", "often", {"handler": 20})
    text = shown(run(frame=pd.concat([rare, often], ignore_index=True)))
    assert text.index("netlink often") < text.index("netlink rare ")


def test_the_latencies_are_those_of_the_table() -> None:
    text = shown(run())
    assert re.search(r"netlink msgchan echo +101 +10\.2 µs +18\.2 µs +20\.0 µs +20\.2 µs", text)
    assert re.search(r"getsockopt msgchan request +23 +1\.20 µs", text)


def test_a_bar_is_as_long_as_the_shares() -> None:
    """Every stage with its letter; the largest are told."""
    stages = {"handler": 50, "queue": 30, "copy": 20}
    text = shown(run(frame=exchanges(10, "netlink", "echo", stages)))
    (bar,) = [line for line in text.split("\n") if "handler 50%," in line]
    assert bar == f"  {'h' * 19}{'q' * 11}{'c' * 8}  handler 50%, queue 30%, copy 20%"
    assert "  h handler  q queue  c copy" in text


@pytest.mark.parametrize("seed", range(50))
def test_lengths_sum_to_the_bar_and_differ_from_the_shares_by_less_than_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(random.uniform(0.05, 3, random.integers(1, 14)))
    lengths = screen._rounded(shares, 38)
    assert sum(lengths) == 38
    assert np.abs(np.array(lengths) - 38 * shares).max() < 1


def test_no_time_at_all_has_no_bar() -> None:
    assert screen._rounded(np.zeros(3), 38) == [0, 0, 0]


def test_every_stage_has_a_letter_of_its_own() -> None:
    assert list(screen.LETTERS) == [*STAGE_COLOURS]
    assert len(set(screen.LETTERS.values())) == len(STAGE_COLOURS)


def test_the_slowest_come_with_their_largest_stage() -> None:
    text = shown(run())
    after = text[text.index("slowest") :].split("\n")
    assert re.fullmatch(r"netlink msgchan echo +100 +20\.2 µs +tracer 260 +handler 25% *", after[1])
    assert len(after[: after.index("")]) == 1 + 3


def test_what_was_recorded_and_where_it_is() -> None:
    lines = shown(run()).split("\n")
    assert lines[0] == "tracer drive --count 101 'a b'"
    assert lines[1] == "2.500 s on 6.1.0-56-amd64 x86_64, clock CLOCK_MONOTONIC from tsc"
    assert lines[2:4] == [
        "124 exchanges (124 ok)",
        "trusted: yes, all 2 lines of the ledger balance",
    ]
    assert "recording  runs/one" in lines
    assert "page       tracer report runs/one --html runs/one/report.html" in lines


def test_a_page_that_is_there_is_named(tmp_path: Path) -> None:
    (tmp_path / screen.PAGE).touch()
    assert f"page       {tmp_path / screen.PAGE}\n" in shown(run(path=tmp_path))


def test_a_path_can_be_pasted_into_a_shell() -> None:
    text = shown(run(path=Path("runs/my first")))
    assert "more       tracer report 'runs/my first' --full" in text
    assert "tracer report 'runs/my first' --html 'runs/my first/report.html'" in text


def test_distrust_is_told_with_its_reasons() -> None:
    lines = shown(untrusted()).split("\n")
    assert "trusted: NO, 1 of 2 lines of the ledger do not balance" in lines
    assert any(
        line.startswith("  handler calls: module 1,234,567, probe 1,234,566") for line in lines
    )


def test_an_empty_run() -> None:
    text = shown(run(frame=exchanges(1, "netlink", "x", NETLINK).iloc[:0]))
    assert "No exchange was completed.\n" in text


def test_what_never_ended_is_no_latency() -> None:
    unread = exchanges(4, "notify", "msgchan icmp", GET, status="unanswered")
    assert "No exchange was completed.\n" in shown(run(frame=unread))


def test_a_name_cannot_speak_to_the_terminal() -> None:
    odd = exchanges(3, "netlink", "\x1b[31m[red]echo", {"handler": 5}, comm="\x1b]0;x")
    text = shown(run(frame=odd))
    assert "\x1b" not in text
    assert "[red]echo" in text


@pytest.mark.parametrize(
    ("option", "has", "lacks"),
    [
        ([], "slowest", "Attach plan"),
        (["--full"], "Attach plan", "slowest    "),
        (["--ledger"], "netlink_unicast", "Attach plan"),
        (["--plan"], "Attach plan", "Ledger"),
    ],
)
def test_each_part_by_its_option(
    monkeypatch: pytest.MonkeyPatch, option: list[str], has: str, lacks: str
) -> None:
    for made, status in ((run, 0), (untrusted, 1)):
        monkeypatch.setattr("tracer.run.load", lambda directory, made=made: made())
        done = CliRunner().invoke(main, ["report", "runs/one", *option])
        assert done.exit_code == status
        assert has in done.stdout
        assert lacks not in done.stdout
        told = done.stdout + done.stderr
        assert ("1,234,566" in told) == bool(status), "an untrusted one says why"


def test_one_part_at_a_time() -> None:
    done = CliRunner().invoke(main, ["report", "runs/one", "--full", "--plan"])
    assert done.exit_code == 2
    assert "--full and --plan exclude each other" in done.stderr
