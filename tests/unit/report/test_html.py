# SPDX-License-Identifier: GPL-2.0-or-later
"""The page: the same numbers as the frames, loads nothing, escapes what it is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from page_reader import Reader
from plot_doubles import MARKUP, NOTIFY, crowded, empty, staged
from report_doubles import META, NETLINK, exchanges

from tracer import tables
from tracer.cli import main
from tracer.colours import STAGE_COLOURS
from tracer.correlate.stages import STAGES
from tracer.errors import TracerError
from tracer.report.html import page, summary, write_page
from tracer.run import load
from tracer.tables.slowest import slowest_table

RECORDING = Path(__file__).parents[2] / "data" / "all-channels"


@pytest.fixture(scope="module", params=["by hand", "lab", "crowded"])
def run(request: pytest.FixtureRequest) -> Any:
    made = {"by hand": staged, "lab": lambda: load(RECORDING), "crowded": crowded}
    return made[request.param]()


@pytest.fixture(scope="module")
def text(run: Any) -> str:
    return page(run)


@pytest.fixture(scope="module")
def read(text: str) -> Reader:
    return Reader(text)


def thousands(values: Any) -> list[str]:
    return ["" if pd.isna(value) else f"{value:,}" for value in values]


def test_latencies_and_stages_are_the_reports(run: Any, read: Reader) -> None:
    found = tables.stage_table(run.exchanges)
    columns = ["count", "p50_ns", "p90_ns", "p99_ns", "max_ns"]
    totals = found[found["stage"] == "total"]
    assert read.rows("overview") == [
        [row["channel"], row["name"], *thousands(row[columns])] for _, row in totals.iterrows()
    ]
    assert read.rows("stages") == [
        [row["stage"], *thousands(row[columns]), f"{row['share']:.1%}"]
        for _, row in found.iterrows()
    ]


def test_sizes_are_the_reports(run: Any, read: Reader) -> None:
    found = tables.size_table(run.exchanges)
    numbers = found[["count", "p50", "p99", "max", "total"]]
    assert [row[3:8] for row in read.rows("sizes")] == [
        thousands(row) for row in numbers.itertuples(index=False)
    ]
    named = [row for row in read.rows("sizes") if row[0]]
    types = found.drop_duplicates(["channel", "name"])
    assert [row[:2] for row in named] == types[["channel", "name"]].astype(str).to_numpy().tolist()
    rates = ["" if pd.isna(rate) else f"{rate:,.1f}" for rate in types["per_second"]]
    assert [row[8] for row in named] == rates
    assert not any(row[1] or row[8] for row in read.rows("sizes") if not row[0])


def test_the_slowest_are_the_frames(run: Any, read: Reader) -> None:
    found = slowest_table(run.exchanges)
    rows = read.rows("slowest")
    assert len(rows) == min(20, len(run.exchanges))
    for row, (index, slow) in zip(rows, found.iterrows(), strict=True):
        assert row[0] == str(index)
        assert row[1] == f"{slow['channel']} · {slow['name']}"
        assert row[2] == f"{slow['comm']} {slow['tid']}"
        assert row[5] == f"{slow['total_ns']:,}"
        assert row[7] == f"{slow['largest']} {slow['share']:.1%}"


def test_every_slow_exchange_has_its_own_waterfall(run: Any, text: str) -> None:
    bars = re.findall(r'<td class="bar"><svg.*?</svg>', text, re.DOTALL)
    found = slowest_table(run.exchanges)
    assert len(bars) == len(found)
    for bar, row in zip(bars, found.index, strict=True):
        told = re.findall(r"<title>(\w+) ([\d,]+) ns, ", bar)
        lengths = {stage: 0 for stage in (*STAGES, "unexplained")}
        for stage, length in told:
            lengths[stage] += int(length.replace(",", ""))
        exchange = run.exchanges.loc[row]
        assert lengths == {
            stage: 0 if pd.isna(exchange[f"{stage}_ns"]) else exchange[f"{stage}_ns"]
            for stage in lengths
        }


def test_the_bars_of_a_slow_exchange_lie_where_its_stages_did() -> None:
    made = staged(exchanges(1, "netlink", "x", NETLINK | {"handler": 9875, "wake": 5}))
    svg = re.findall(r'<td class="bar">(.*?)</td>', page(made), re.DOTALL)[0]
    assert 'viewBox="0 0 1000 14"' in svg
    bars = re.findall(r'<rect class="(\w+)" x="([\d.]+)" width="([\d.]+)".*?<title>(.*?)<', svg)
    told = {stage: (float(x), float(width), title) for stage, x, width, title in bars}
    assert told["encode"] == (0, 1, "encode 10 ns, 0.1%")
    assert told["handler"] == (3.5, 987.5, "handler 9,875 ns, 98.8%")
    assert told["wake"] == (996.5, 1, "wake 5 ns, 0.1%")  # or nobody would see it


def test_the_legend_names_the_stages_of_the_bars(text: str) -> None:
    """Those of one colour together."""
    lines = re.findall(r'<li><svg .*?<rect class="(\w+)".*?</svg>(.*?)</li>', text)
    named = [told.split(", ") for _swatch, told in lines]
    drawn = set(re.findall(r"<title>(\w+) [\d,]+ ns, ", text))
    assert sorted(stage for stages in named for stage in stages) == sorted(drawn)
    colours = [{STAGE_COLOURS[stage] for stage in stages} for stages in named]
    assert [{STAGE_COLOURS[swatch]} for swatch, _told in lines] == colours
    assert len({colour for (colour,) in colours}) == len(lines)


def test_ledger_plan_and_outcomes_are_whole(run: Any, read: Reader) -> None:
    assert [row[0] for row in read.rows("ledger")] == run.ledger["line"].tolist()
    assert [row[2] for row in read.rows("ledger")] == thousands(run.ledger["count"])
    assert [row[0] for row in read.rows("plan")] == [one["point"] for one in run.meta["plan"]]
    outcomes = tables.outcome_table(run.exchanges)
    assert [row[3] for row in read.rows("outcomes")] == outcomes["status"].tolist()


def test_it_loads_nothing(text: str, read: Reader) -> None:
    assert not re.search(r"https?:|@import|//\w|src\s*=|<script|<link", text)
    assert not re.search(r"url\((?!#)", text)
    for _tag, attributes in read.tags:
        assert not (attributes.get("href") or "#").startswith(("h", "/"))


def test_ids_are_unique(read: Reader) -> None:
    ids = [attributes["id"] for _tag, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_a_recording_says_is_escaped() -> None:
    made = crowded()
    text = page(made)
    assert "<b>" not in text
    read = Reader(text)
    for place in ("overview", "slowest", "outcomes"):
        assert any(MARKUP in cell for row in read.rows(place) for cell in row), place
    assert f"--name={MARKUP}" in read.text.replace("'\"'\"'", "'")  # as the shell quotes it
    assert "<b>" not in summary(made)


def test_ledger_notes_are_escaped() -> None:
    ledger = staged().ledger.assign(note=MARKUP, ok=False)
    text = page(staged(ledger=ledger))
    assert "<b>" not in text
    assert MARKUP in Reader(text).rows("ledger")[0]


def test_trust_and_losses_come_first() -> None:
    text = Reader(page(crowded())).text
    told = text[: text.index("Latencies")]
    assert "Not trusted." in told
    assert "handler calls: module 1,234,567, probe 1,234,566, difference +1" in told
    assert "send_calls/000001.parquet: segment lost" in told
    assert "recursion_misses: 3" in told
    trusted = Reader(page(staged())).text
    assert "Trusted. Every line of the ledger balances (2 of 2)." in trusted
    assert "Losses: none." in trusted


def test_a_line_that_does_not_balance_says_by_how_much() -> None:
    right, wrong = Reader(page(crowded())).rows("ledger")
    assert right[4:7] == ["101", "0", "yes"]
    assert wrong[4:7] == ["1,234,566", "+1", "NO"]


def test_the_header_says_machine_command_and_clock() -> None:
    text = Reader(page(staged())).text
    for fact in ("tracer drive --count 101 'a b'", "6.1.0-56-amd64 x86_64", "lab",
                 "CLOCK_MONOTONIC from tsc", "2026-11-21T01:02:03+00:00", "2.500 s",
                 "0 events, 1 sends, 124 exchanges"):  # fmt: skip
        assert fact in text, fact


def test_an_empty_run_has_a_page() -> None:
    read = Reader(page(empty()))
    assert "No exchange was completed." in read.text
    assert "slowest" not in read.cells
    assert "stages" not in read.cells
    assert len(read.rows("plan")) == 2


def test_exchanges_none_of_which_was_completed() -> None:
    frame = staged().exchanges.assign(status="unanswered", total_ns=pd.NA)
    read = Reader(page(staged(frame)))
    assert "No exchange was completed." in read.text
    assert "unanswered 101" in read.text
    assert {row[0] for row in read.rows("sizes") if row[0]} == {"netlink", "getsockopt"}


def test_a_command_of_any_bytes_has_a_page(tmp_path: Path) -> None:
    write_page(staged(meta=META | {"command": ["prog", "\udcff"]}), tmp_path / "page.html")
    assert r"\udcff" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_notification_that_nobody_read_names_no_program() -> None:
    unread = {"status": "unanswered", "comm": "", "tid": pd.array([pd.NA] * 3, "Int64")}
    made = staged(exchanges(3, "notify", "msgchan icmp", NOTIFY, **unread))
    assert [row[2] for row in Reader(page(made)).rows("slowest")] == ["unknown"] * 3


def test_jupyter_shows_a_summary() -> None:
    made = load(RECORDING)
    shown = made._repr_html_()
    text = " ".join(Reader(shown).text.split())
    assert "trusted" in text
    assert f"{len(made.events)} events, 142 sends, 117 exchanges in" in text
    total = tables.stage_table(made.exchanges).query("stage == 'total'").iloc[0]
    assert f"{total['p99_ns']:,}" in text
    assert len(shown) < 10_000


def test_jupyter_is_told_of_distrust() -> None:
    text = Reader(summary(crowded())).text
    assert "not trusted" in text
    assert "difference +1" in text
    assert "segment lost" in text


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    done = CliRunner().invoke(main, ["report", str(RECORDING), "--html", str(file)])
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{file}\n", "")
    assert file.read_text(encoding="utf-8") == page(load(RECORDING))
    assert list(tmp_path.iterdir()) == [file]


def test_the_command_tells_distrust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracer.run.load", lambda directory: crowded())
    done = CliRunner().invoke(main, ["report", "runs/one", "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 1
    assert done.stderr.startswith("untrusted: handler calls")


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match=r"cannot write .*No such file"):
        write_page(empty(), tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize("place", ["file/page.html", "n" * 253])
def test_a_place_that_holds_no_page(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(TracerError, match=r"cannot write .*(Not a dir|too long)"):
        write_page(empty(), tmp_path / place)
    assert (tmp_path / "file").read_text() == "kept"


def test_one_form_at_a_time() -> None:
    done = CliRunner().invoke(main, ["report", "runs/one", "--html", "x.html", "--json"])
    assert done.exit_code == 2
    assert "exclude each other" in done.stderr
