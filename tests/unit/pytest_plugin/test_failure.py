# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of a failure: which stage, how much, which exchanges, where to look."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from run_builder import META, STAGES, Times, record, times

import tracer
from tracer.compare.comparison import INCONCLUSIVE, SLOWER, Comparison, Options, compare
from tracer.pytest_plugin.failure import _slowest, medians, rows, told
from tracer.run import Run

COUNTED = {"clock": META["clock"] | {"deterministic": True}}


def run(directory: Path, stage_times: Times, **meta: Any) -> Run:
    return tracer.load(record(directory, stage_times, **(COUNTED | meta)))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Run, Run]:
    """A run, and one whose handlers take 5 us longer, two of them much longer."""
    random = np.random.default_rng(1)
    base = times(random, 101, spread=0.001)
    new = times(random, 101, spread=0.001, add={"handler": 5000})
    new[17, STAGES.index("handler")] = 70_000
    new[3, STAGES.index("handler")] = 60_000
    return run(tmp_path / "base", base), run(tmp_path / "new", new)


def text(comparison: Comparison, *runs: Run) -> str:
    return told(comparison, runs, "echo", Path("baselines/echo.json"))[1]


def test_a_regression_names_stage_amount_exchanges_and_the_next_command(
    pair: tuple[Run, Run],
) -> None:
    base, new = pair
    found = text(compare([base], [new]), new)
    lines = found.splitlines()
    assert lines[0].startswith("slower: netlink, msgchan echo: handler +5,")
    assert lines[0].endswith("at p50, baseline 'echo'")
    assert "allowed    the larger of 2 % and 100 ns" in lines
    assert f"recording  {new.path}" in lines
    assert f"go on with: tracer report {new.path}" in lines
    (handler,) = [line.split() for line in lines if line.startswith("  handler  p50")]
    assert handler[-1] == SLOWER
    assert handler[-2] == "100"
    assert any(line.startswith("  moved: handler, +5,") for line in lines)


def test_a_slow_tail_says_how_many_are_slow_and_which(tmp_path: Path) -> None:
    base = times(np.random.default_rng(1), 400, spread=0)
    slow = base.copy()
    slow[::50, STAGES.index("handler")] += 1_000_000
    sides = run(tmp_path / "base", base), run(tmp_path / "new", slow)
    found = text(compare(sides[:1], sides[1:], Options(stages=("handler", "reply"))), sides[1])
    lines = found.splitlines()
    assert lines[0] == (
        "slower: netlink, msgchan echo: handler +1,000,000 ns (+20000.0%) at p99, baseline 'echo': "
        "8 of 400 slower than 55,100 ns, base 0 of 400"
    )
    assert [line.split()[1] for line in lines if line.startswith("  handler  p")] == ["p90", "p99"]
    assert "0 → 8 of 400 over 55,100" in found
    assert "  slowest in handler (ns; row of run.exchanges):" in lines


def test_the_slowest_exchanges_of_the_stage_are_listed(pair: tuple[Run, Run]) -> None:
    base, new = pair
    lines = text(compare([base], [new]), new).splitlines()
    at = lines.index("  slowest in handler (ns; row of run.exchanges):")
    assert lines[at + 1].split() == ["row", "seq", "tid", "handler", "total"]
    listed = [line.split() for line in lines[at + 2 : at + 5]]
    assert [one[:4] for one in listed[:2]] == [
        ["17", "18", "100", "70,000"],
        ["3", "4", "100", "60,000"],
    ]
    assert listed[0][4] == f"{new.exchanges.loc[17, 'total_ns']:,}"


def test_what_was_never_answered_is_not_listed_as_slow(pair: tuple[Run, Run]) -> None:
    _, new = pair
    rows = new.exchanges.copy()
    rows.loc[17, "status"] = "unanswered"
    given = cast(Run, SimpleNamespace(exchanges=rows, path=new.path))
    lines = list(_slowest([given], "netlink", "msgchan echo", "handler"))
    assert lines[2].split()[0] == "3"
    assert len(lines) == 5


def test_runs_are_named_where_there_are_several(pair: tuple[Run, Run], tmp_path: Path) -> None:
    base, new = pair
    other = run(tmp_path / "other", times(np.random.default_rng(5), 101, add={"handler": 90_000}))
    lines = text(compare([base, base], [new, other]), new, other).splitlines()
    assert sum(line.startswith("recording  ") for line in lines) == 2
    at = lines.index("  slowest in handler (ns; row of run.exchanges):")
    assert [line.split()[-1] for line in lines[at + 1 : at + 5]] == ["recording", *["other"] * 3]


def test_what_is_not_settled_says_with_which_margin_it_would_be(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    wall = {"clock": META["clock"]}
    base, new = (
        [run(tmp_path / f"{name}{i}", times(random, 101, run_spread=0.1), **wall) for i in range(5)]
        for name in ("base", "new")
    )
    asked = Options(stages=("copy",), min_effect=0, min_effect_ns=70, allow=frozenset({"order"}))
    comparison = compare(base, new, asked)
    assert comparison.verdict == INCONCLUSIVE
    found = text(comparison, *new)
    assert found.startswith("inconclusive: netlink, msgchan echo: copy ")
    headline = found.partition("\n")[0]
    within = f"same within {100 * (comparison.same_within or 0):.1f}%"
    assert f"baseline 'echo'; {within}" in headline
    made = [x for x in found.splitlines() if x.startswith("  copy ")]
    assert [row.split()[1] for row in made] == ["p50", "p90"]
    assert any(row.endswith(f"inconclusive, {within}") for row in made)
    assert "\nnot settled: netlink, msgchan echo, copy p50: the runs differ: its change ma" in found
    assert "allowed    70 ns" in found


def test_rows_show_the_moved_stage_or_what_decides(pair: tuple[Run, Run]) -> None:
    base, new = pair
    (row,) = rows(compare([base], [new]))
    assert (row["type"], row["stage"], row["quantile"]) == (
        "netlink, msgchan echo",
        "handler",
        "p50",
    )
    assert (row["verdict"], round(row["change_ns"], -2)) == (SLOWER, 5000)
    (same,) = rows(compare([base], [base]))
    assert (same["stage"], same["quantile"], same["change_ns"]) == ("total", "p50", 0)


def test_a_tail_that_moved_alone_is_named(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    base = times(random, 1001, spread=0.001)
    new = times(random, 1001, spread=0.001)
    new[::5, STAGES.index("copy")] += 30_000
    sides = run(tmp_path / "base", base), run(tmp_path / "new", new)
    comparison = compare([sides[0]], [sides[1]])
    assert comparison.verdict == SLOWER
    assert comparison.moved.empty
    assert "copy +29,9" in told(comparison, [sides[1]], "echo", Path("e"))[0]
    (row,) = rows(comparison)
    assert (row["stage"], row["verdict"]) == ("copy", SLOWER)


def test_of_many_lines_those_of_the_stage_that_moved_most_are_kept(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    add = dict.fromkeys(STAGES, 5000) | {"recv_exit": 9000}
    sides = [
        run(tmp_path / name, times(random, 301, spread=0.001, add=added))
        for name, added in (("base", None), ("new", add))
    ]
    lines = text(compare([sides[0]], [sides[1]]), sides[1]).splitlines()
    at = lines.index("netlink, msgchan echo (ns)")
    told_lines = [line.split()[:2] for line in lines[at + 2 : at + 10]]
    assert told_lines[:4] == [["encode", "p50"], ["encode", "p90"], ["encode", "p99"],
                              ["send_entry", "p50"]]  # fmt: skip
    assert told_lines[4:] == [["recv_exit", q] for q in ("p50", "p90", "p99")] + [["total", "p50"]]
    # Ten stages and the total, three quantiles each.
    assert lines[at + 10] == "  and 25 more lines, see --latency-report"


def test_medians_are_all_of_them(pair: tuple[Run, Run]) -> None:
    base, new = pair
    assert [row["stage"] for row in medians(compare([base], [new]))] == [*STAGES, "total"]
