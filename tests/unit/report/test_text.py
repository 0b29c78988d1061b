# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of a report: whole at 80 and 100 columns, coloured on a terminal, exit statuses."""

from __future__ import annotations

import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from page_reader import Reader
from plot_doubles import crowded, staged
from report_doubles import NETLINK, exchanges, run, untrusted
from rich.console import Console

from tracer.cli import main
from tracer.report.html import page
from tracer.report.text import render
from tracer.run import load
from tracer.tables.slowest import slowest_table

RECORDING = Path(__file__).parents[2] / "data" / "all-channels"
RUNS = {"by hand": staged, "lab": lambda: load(RECORDING), "crowded": crowded}
#: A section of the page, and what the text calls it.
SECTIONS = {
    "overview": "Latencies (ns)",
    "stages": "Stages of ",
    "distribution": "Distribution of latencies",
    "heatmap": "Latencies over time",
    "sizes": "Sizes (bytes)",
    "slowest": "The ",
    "outcomes": "Outcomes",
    "ledger": "Ledger",
    "plan": "Attach plan",
}


def text(made: Any, width: int = 100, terminal: bool = False) -> str:
    out = io.StringIO()
    kind: dict[str, Any] = {"force_terminal": True, "color_system": "standard"} if terminal else {}
    render(made, Console(file=out, width=width, highlight=False, **kind))
    return out.getvalue()


@cache
def page_of(name: str) -> Reader:
    return Reader(page(RUNS[name]()))


@pytest.mark.parametrize("name", RUNS)
def test_it_says_what_the_page_says(name: str) -> None:
    """Section by section, in the same order; a figure's section is there by its table."""
    made = RUNS[name]()
    shown = text(made, 500)
    read = page_of(name)
    # What does not stand in every line of the text: names of groups, and its own wording.
    own = {"stages": 0, "sizes": 2, "slowest": 0}
    assert list(SECTIONS) == [section for section in read.cells if section]
    places = [shown.index(f"\n{title}") for title in SECTIONS.values()]
    assert places == sorted(places)
    for section, begin, end in zip(SECTIONS, places, [*places[1:], None], strict=True):
        lines = [line.split() for line in shown[begin:end].splitlines()]
        for row in read.rows(section) if section != "slowest" else []:
            wanted = " ".join(row[own.get(section, 0) :]).split()
            assert any(_holds(line, wanted) for line in lines), (section, wanted)


def _holds(line: list[str], wanted: list[str]) -> bool:
    return any(line[i : i + len(wanted)] == wanted for i in range(len(line)))


@pytest.mark.parametrize("name", RUNS)
def test_the_header_says_what_the_page_says(name: str) -> None:
    made = RUNS[name]()
    top = text(made, 2000).split("Latencies (ns)")[0]
    told = page_of(name).text.split("Latencies")[0]
    for line in top.splitlines():
        if value := line.partition("  ")[2].strip():
            assert value in told or (value, made.trusted) in (("yes", True), ("NO", False)), value


@pytest.mark.parametrize("name", RUNS)
def test_the_slowest_are_those_of_the_table(name: str) -> None:
    made = RUNS[name]()
    shown = text(made, 300)
    part = shown[shown.index("\nThe ") : shown.index("\nOutcomes")].splitlines()[3:]
    found = slowest_table(made.exchanges)
    assert len(part) == 2 * len(found)
    for first, second, (row, slow) in zip(part[::2], part[1::2], found.iterrows(), strict=True):
        assert first.split()[:3] == [
            str(row), f"{slow['since_ns'] / 1e6:,.3f}", f"{slow['total_ns']:,}",
        ]  # fmt: skip
        assert first.rstrip().endswith(f"{slow['channel']}, {slow['name']}")
        assert second.split(",")[0].strip() == f"{slow['largest']} {slow['share']:.0%}"


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
        "median exchange, row 50 (ns): encode 510, send_entry 1,020",
        "Attach plan",
        "fentry/fexit",
        "[lib]",
        "Stages of netlink, msgchan echo (ns)",
        "Stages of getsockopt, msgchan request (ns)",
        "unexplained",
        "Sizes (bytes)",
        "Outcomes",
        "ok 101",
        "nested 23",
        "Ledger",
        "303 of others",
        "trusted: yes",
    ):
        assert part in shown, part


def test_the_tables_of_the_figures() -> None:
    rows = [line.split() for line in text(run()).splitlines()]
    # 200, 400, ... 20,200 ns
    assert ["netlink", "msgchan", "echo", "2", "2", "5", "15", "25", "50", "2"] in rows
    over_time = "netlink 0.000 10.000 10 1.00 µs 2.00 µs 2.00 µs"
    assert over_time.split() in rows
    by_size = "netlink msgchan echo 164 101 2.20 µs 10.2 µs 18.2 µs 20.0 µs 20.2 µs"
    assert by_size.split() in rows


@pytest.mark.parametrize(
    ("title", "heads"),
    [
        ("Latencies (ns)", "channel name count p50 p90 p99 max"),
        ("Stages of netlink, msgchan echo (ns)", "stage count p50 p90 p99 max share"),
        (
            "Distribution of latencies (exchanges that took so long, but not as long as the next)",
            "channel name 100 ns 200 ns 500 ns 1 µs 2 µs 5 µs 10 µs 20 µs",
        ),
        (
            "Latencies over time (ms since the first began)",
            "channel from to count p50 p99 max",
        ),
        ("Sizes (bytes)", "channel name of count p50 p99 max total exchanges/s"),
        (
            "Latencies by size (bytes of request and reply)",
            "channel name bytes count p10 p50 p90 p99 max",
        ),
        (
            "The 20 slowest exchanges",
            "row began, ms total, ns status program type, and its stages from 1 % on",
        ),
        ("Outcomes", "channel name count status match"),
        ("Ledger", "line witness count against other diff ok note"),
        ("Attach plan", "point site target reason"),
    ],
)
def test_every_table_has_its_heads(title: str, heads: str) -> None:
    lines = text(run(), 130).splitlines()
    assert lines[lines.index(title) + 1].split() == heads.split()


def test_a_stage_line_reads_as_a_table() -> None:
    shown = text(run())
    found = [line.split() for line in shown.splitlines() if re.match("handler .*%", line)]
    assert found == [
        ["handler", "23", "480", "840", "920", "920", "40.0%"],
        ["handler", "101", "2,550", "4,550", "5,000", "5,050", "25.0%"],
    ]


def test_a_rate_is_told_once_and_where_there_is_one() -> None:
    assert text(run()).count(" 1,045.3") == 1
    assert "nan" not in text(RUNS["lab"]())


def test_one_exchange_is_no_plural() -> None:
    assert "\nThe slowest exchange\n" in text(run(frame=exchanges(1, "netlink", "x", NETLINK)))


def test_an_untrusted_run_says_why() -> None:
    shown = text(untrusted())
    assert "trusted: NO" in shown
    reason = "handler calls: module 1,234,567, probe 1,234,566, difference +1"
    assert reason in shown[: shown.index("Latencies")]
    assert reason in shown[shown.index("trusted: NO") :]
    assert f"  {reason} (303 of others)\n" in text(untrusted(), 40)
    assert reason not in re.sub(r"\x1b\[[\d;]*m", "", text(untrusted(), 40, terminal=True))


def test_colours_on_a_terminal_only() -> None:
    assert "\x1b[" in text(run(), terminal=True)
    assert "\x1b[" not in text(run())


def test_losses_are_in_the_header() -> None:
    assert "send_calls/000001.parquet: lost" in text(
        run(damage=["send_calls/000001.parquet: lost"])
    )


def test_a_notification_that_nobody_read_names_no_program() -> None:
    unread = {"status": "unanswered", "comm": "", "tid": pd.array([pd.NA] * 3, "Int64")}
    shown = text(run(frame=exchanges(3, "notify", "msgchan icmp", NETLINK, **unread)))
    assert "NA" not in shown
    assert "unanswered  unknown" in shown


def test_an_empty_run() -> None:
    nothing = exchanges(1, "netlink", "x", NETLINK).iloc[:0]
    assert "no exchange was completed" in text(run(frame=nothing))


def test_the_exit_status_tells_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracer.run.load", lambda directory: run())
    done = CliRunner().invoke(main, ["report", "runs/one"])
    assert (done.exit_code, done.stderr) == (0, "")
    monkeypatch.setattr("tracer.run.load", lambda directory: untrusted())
    done = CliRunner().invoke(main, ["report", "runs/one"])
    assert done.exit_code == 1
    assert "trusted: NO" in done.stdout


def test_json_keeps_the_reasons_out_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracer.run.load", lambda directory: untrusted())
    done = CliRunner().invoke(main, ["report", "runs/one", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["trusted"] is False
    assert done.stderr.startswith("untrusted: handler calls")


def test_a_missing_recording_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: cannot open the recording")
    assert done.stderr.count("\n") == 1
