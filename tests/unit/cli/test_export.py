# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer export`` as a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pandas as pd
import pytest
from recording_copies import ALL_CHANNELS, Copy
from run_builder import record, times
from trace_event_format import check

from tracer.cli import main


def run(*arguments: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_perfetto(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    result = run(ALL_CHANNELS, "--format", "perfetto", "-o", file)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(
        f"{file}: kernel 544, user 142, exchange 117, stage 779, flow 71"
    )
    assert result.stdout == ""
    assert len([e for e in check(file.read_text()) if e.get("cat") == "exchange"]) == 117


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
    copy.rows("tasks", lambda frame: frame.assign(comm="=1+1"))
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
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_it_works_without_a_terminal(tmp_path: Path, tracer_command: Any) -> None:
    result = tracer_command(
        "export", str(ALL_CHANNELS), "--format", "csv", "-o", str(tmp_path / "a")
    )
    assert (result.returncode, result.stdout) == (0, "")
