# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer export`` as a command."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pandas as pd
import pytest
from recording_copies import ALL_CHANNELS, Copy
from run_builder import record, times
from trace_event_format import check

import tracer
from tracer.cli import export, main

PERFETTO = ("--format", "perfetto", "-o", "x")


def run(*arguments: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_perfetto(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    result = run(ALL_CHANNELS, "--format", "perfetto", "-o", file)
    assert result.exit_code == 0, result.output
    made = tracer.load(ALL_CHANNELS)
    assert result.stderr.startswith(
        f"{file}: kernel {len(made.events)}, user 142, exchange 117, stage 779, flow 71"
    )
    assert result.stdout == ""
    assert len([e for e in check(file.read_text()) if e.get("cat") == "exchange"]) == 117


def test_perfetto_is_compressed_if_the_name_says_so(tmp_path: Path) -> None:
    for name in ("a.json", "a.json.gz", "b.json.gz"):
        assert run(ALL_CHANNELS, "--format", "perfetto", "-o", tmp_path / name).exit_code == 0
    packed = (tmp_path / "a.json.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "a.json").read_bytes()
    assert packed == (tmp_path / "b.json.gz").read_bytes()


def test_a_window_of_the_timeline(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    window = ("--from", "1ms", "--to", "600ms")
    result = run(ALL_CHANNELS, "--format", "perfetto", "-o", file, *window)
    assert result.exit_code == 0, result.output
    found = [e for e in check(file.read_text()) if e.get("cat") == "exchange"]
    assert 0 < len(found) < 117
    assert f", exchange {len(found)}, " in result.stderr


@pytest.mark.parametrize(("form", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_a_window_of_the_exchanges(tmp_path: Path, form: str, read: Any) -> None:
    file, whole = tmp_path / "a", tmp_path / "whole"
    run(ALL_CHANNELS, "--format", form, "-o", whole)
    result = run(ALL_CHANNELS, "--format", form, "-o", file, "--from", "1ms", "--to", "600ms")
    assert result.exit_code == 0, result.output
    every = read(whole)
    start = every["start_ns"] - every["start_ns"].min()
    expected = every[(start < 600_000_000) & (start + every["total_ns"] > 1_000_000)]
    assert 0 < len(expected) < 117
    assert read(file)["start_ns"].tolist() == expected["start_ns"].tolist()
    assert result.stderr == f"{file}: {len(expected)} exchanges\n"


def test_a_long_export_tells_what_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "LONG", len(tracer.load(ALL_CHANNELS).events))
    file = tmp_path / "a"
    said = run(ALL_CHANNELS, "--format", "csv", "-o", file).stderr.splitlines()
    assert said[0] == f"writing {file} ..."
    assert said[1].startswith(f"writing {file}: done (")
    assert said[2:] == [f"{file}: 117 exchanges"]


@pytest.mark.parametrize(("form", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_tables(tmp_path: Path, form: str, read: Any) -> None:
    file = tmp_path / "a"
    result = run(ALL_CHANNELS, "--format", form, "-o", file)
    assert result.exit_code == 0, result.output
    assert result.stderr == f"{file}: 117 exchanges\n"
    assert len(read(file)) == 117


def test_an_untrusted_recording_is_exported_with_status_1(tmp_path: Path) -> None:
    made = record(tmp_path / "run", times(np.random.default_rng(1), 3), losses={"kprobe_misses": 2})
    result = run(made, "--format", "csv", "-o", tmp_path / "a")
    assert result.exit_code == 1
    assert "untrusted: kprobe misses: kernel 2" in result.stderr
    assert len(pd.read_csv(tmp_path / "a")) == 3


def test_a_formula_is_exported_as_text_unless_the_raw_one_is_asked_for(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.recorded("tasks", lambda frame: frame.assign(comm="=1+1"))
    for arguments, name in (([], "'=1+1"), (["--raw"], "=1+1")):
        result = run(copy.path, "--format", "csv", "-o", tmp_path / "a", *arguments)
        assert result.exit_code == 0, result.output
        assert set(pd.read_csv(tmp_path / "a")["comm"]) == {name}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch", "--format", "csv", "-o", "x"], "cannot open the recording nosuch"),
        ([ALL_CHANNELS, "--format", "pdf", "-o", "x"], "'pdf' is not one of"),
        ([ALL_CHANNELS, "--format", "parquet", "-o", "x", "--raw"], "--raw is for csv; parquet"),
        ([ALL_CHANNELS, "--format", "csv", "-o", "x.csv.gz"], "only perfetto is compressed"),
        ([ALL_CHANNELS, *PERFETTO, "--from", "2ms", "--to", "2ms"], "the window is empty: --from"),
        ([ALL_CHANNELS, *PERFETTO, "--from", "2s", "--to", "1999ms"], "the window is empty"),
        ([ALL_CHANNELS, *PERFETTO, "--to", "0"], "nothing lies in the window"),
        (
            [ALL_CHANNELS, *PERFETTO, "--from", "100s"],
            "nothing lies in the window: the recording ends",
        ),
        ([ALL_CHANNELS, *PERFETTO, "--from", "1"], "'1' is not a duration"),
        ([ALL_CHANNELS, "--format", "csv"], "Missing option '-o'"),
        ([ALL_CHANNELS, "--format", "csv", "-o", "no/x"], "cannot write no/x: No such file"),
    ],
)
def test_misuse_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str | Path], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_it_works_without_a_terminal(tmp_path: Path, tracer_command: Any) -> None:
    result = tracer_command(
        "export", str(ALL_CHANNELS), "--format", "csv", "-o", str(tmp_path / "a")
    )
    assert (result.returncode, result.stdout) == (0, "")
