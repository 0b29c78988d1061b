# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer compare`` on recordings, as a command."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
from run_builder import META, record, times

import tracer.run
from tracer.cli import main


def made(root: Path, side: str, count: int, seed: int, **how: Any) -> Path:
    """A directory that holds ``count`` recordings of one side, one a minute.

    Those of another seed were recorded in turn with them.
    """
    random = np.random.default_rng(seed)
    meta = how.pop("meta", {})
    for number in range(count):
        at = {"started": f"2026-11-21T01:{number:02}:{seed:02}.000+00:00"} | meta
        record(root / side / f"{number:02}", times(random, 31, run_spread=0.005, **how), **at)
    return root / side


def run(*arguments: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["compare", *map(str, arguments)])


#: Of a recording that does not change, the exchanges are found once for all commands.
load_once = cache(tracer.run.load)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer.run, "load", load_once)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sides")
    return {
        "base": made(root, "base", 6, 1),
        "same": made(root, "same", 6, 2),
        "slow": made(root, "slow", 6, 3, add={"handler": 900}),
    }


def test_slower_is_status_1(sides: dict[str, Path]) -> None:
    result = run(sides["base"], sides["slow"])
    assert result.exit_code == 1, result.output
    assert "verdict: slower\n  netlink, msgchan echo: handler slower by" in result.stdout
    assert "recorded in turn" not in result.stdout


def test_same_and_faster_are_status_0(sides: dict[str, Path]) -> None:
    same = run(sides["base"], sides["same"], "--min-effect", "3")
    assert same.exit_code == 0
    assert "\nverdict: same\n" in same.stdout
    faster = run(sides["slow"], sides["base"])
    assert faster.exit_code == 0
    assert "verdict: faster" in faster.stdout


def test_two_recordings_are_inconclusive_and_status_3(sides: dict[str, Path]) -> None:
    result = run(sides["base"] / "00", sides["same"] / "00")
    assert result.exit_code == 3
    assert "\n  1 run a side cannot tell a change from chance, 5 a side can\n" in result.stdout


def test_full_lists_what_is_otherwise_counted(sides: dict[str, Path]) -> None:
    few = sides["base"] / "00", sides["same"] / "00"
    short, whole = run(*few), run(*few, "--full")
    assert short.exit_code == whole.exit_code == 3
    assert "\nencode " not in short.stdout
    assert "\nencode " in whole.stdout
    assert "decide nothing and are not listed (see --full)\n" in short.stdout
    assert "not listed" not in whole.stdout


def test_sides_one_after_the_other_are_inconclusive_unless_allowed(
    sides: dict[str, Path], tmp_path: Path
) -> None:
    later = made(tmp_path, "late", 6, 3, add={"handler": 900})
    for number, path in enumerate(sorted(later.iterdir())):
        meta = path / "meta.json"
        text = json.loads(meta.read_text()) | {"started": f"2026-11-22T01:00:{number:02}+00:00"}
        meta.write_text(json.dumps(text))
    refused = run(sides["base"], later)
    assert refused.exit_code == 3
    assert "verdict: inconclusive\n  the sides were not recorded in turn (at o" in refused.stdout
    assert "or take a drift for change: --allow order\n" in refused.stdout
    allowed = run(sides["base"], later, "--allow", "order")
    assert allowed.exit_code == 1
    assert "a drift of the machine counts as change" in allowed.stdout
    found = json.loads(run(sides["base"], later, "--json").stdout)
    assert found["why_open"][0].startswith("the sides were not recorded in turn")


def test_json(sides: dict[str, Path]) -> None:
    result = run(sides["base"], sides["slow"], "--json", "--stage", "handler", "--type", "netlink")
    found = json.loads(result.stdout)
    assert result.exit_code == found["exit_status"] == 1
    assert {line["stage"] for line in found["lines"]} == {"handler"}
    assert len(found["base"]) == 6


def test_several_directories_a_side(sides: dict[str, Path]) -> None:
    bases = [part for n in range(6) for part in ("--base", sides["base"] / f"{n:02}")]
    news = [sides["slow"] / f"{n:02}" for n in range(6)]
    assert run(*bases, *news).exit_code == 1
    first = run(sides["base"], *news, "--json")
    assert len(json.loads(first.stdout)["new"]) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give BASE and at least one NEW"),
        (["base"], "give BASE and at least one NEW"),
        (["--base", "base"], "give at least one NEW after --base DIR"),
        (["base", "nosuch"], "cannot compare nosuch: no such directory"),
        (["base", "empty"], "cannot compare empty: it is no recording and holds none"),
        (["base", "base/00"], "base/00 is given twice"),
        (["base", "base", "--stage", "nosuch"], "Invalid value for '--stage'"),
        (["base", "base", "--allow", "nosuch"], "Invalid value for '--allow'"),
    ],
)
def test_misuse_is_one_line(
    sides: dict[str, Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(sides["base"].parent)
    Path("empty").mkdir(exist_ok=True)
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_other_kernels_are_refused_unless_allowed(sides: dict[str, Path], tmp_path: Path) -> None:
    new = made(tmp_path, "new", 1, 4, meta={"kernel": "6.12"})
    refused = run(sides["base"], new)
    assert refused.exit_code == 2
    assert "differ in kernel: 6.1.0-56-amd64 x86_64 against 6.12 x86_64" in refused.stderr
    allowed = run(sides["base"], new, "--allow", "kernel")
    assert allowed.exit_code == 3
    assert "compared although these may differ: kernel" in allowed.stdout


def test_one_run_a_side_on_the_deterministic_clock(tmp_path: Path) -> None:
    clock = {"clock": META["clock"] | {"deterministic": True}}
    how = {"spread": 0.0005, "meta": clock}
    base = made(tmp_path, "base", 1, 1, **how) / "00"
    assert run(base, made(tmp_path, "same", 1, 2, **how)).exit_code == 0
    slow = run(base, made(tmp_path, "slow", 1, 3, add={"copy": 150}, **how))
    assert slow.exit_code == 1
    assert "copy slower by 1" in slow.stdout


def test_it_works_without_a_terminal(sides: dict[str, Path], tracer_command: Any) -> None:
    result = tracer_command("compare", str(sides["base"]), str(sides["slow"]))
    assert result.returncode == 1
    assert "\x1b" not in result.stdout
    assert result.stderr.startswith("reading 6 and 6 recordings ...\n")
