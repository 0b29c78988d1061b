# SPDX-License-Identifier: GPL-2.0-or-later
"""Baselines come back as they went, read well in a diff, and say what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal
from recording_copies import ALL_CHANNELS

import tracer
from tracer.compare.baseline import Baseline, dumps, load, make
from tracer.compare.comparison import INCONCLUSIVE, SAME, compare_digests
from tracer.compare.digest import Digest, digest
from tracer.errors import TracerError


@pytest.fixture(scope="module")
def run() -> Digest:
    return digest(tracer.load(ALL_CHANNELS))


def made(*runs: Digest, types: tuple[str, ...] = ()) -> Baseline:
    return make(runs, types, test="t.py::test", command="pytest --latency-update", date="today")


def deterministic(run: Digest) -> Digest:
    return replace(run, deterministic=True)


def stored(baseline: Baseline, directory: Path) -> Path:
    path = directory / "echo.json"
    path.write_text(dumps(baseline))
    return path


def test_it_comes_back_as_it_went(run: Digest, tmp_path: Path) -> None:
    went = made(run, replace(run, started="later"))
    came = load(stored(went, tmp_path))
    assert came.made == went.made
    assert [one.name for one in came.runs] == ["echo.json run 1", "echo.json run 2"]
    for one, other in zip(came.runs, went.runs, strict=True):
        assert_frame_equal(one.lines, other.lines)
        assert replace(one, name="", lines=run.lines) == replace(other, name="", lines=run.lines)
    assert dumps(came) == dumps(went)


def test_what_came_back_compares(run: Digest, tmp_path: Path) -> None:
    came = load(stored(made(run), tmp_path))
    assert compare_digests(came.runs, [run]).verdict == INCONCLUSIVE  # one run, wall clock
    again = deterministic(run)
    assert compare_digests(load(stored(made(again), tmp_path)).runs, [again]).verdict in (
        SAME,
        INCONCLUSIVE,
    )


def test_one_line_a_quantile_in_the_order_of_the_path(run: Digest) -> None:
    lines = dumps(made(run, types=("msgchan echo",))).splitlines()
    medians = [line.split('"')[5] for line in lines if '"p50"' in line]
    assert medians == [
        "encode", "send_entry", "deliver", "handler", "reply", "queue", "wake", "copy",
        "recv_exit", "decode", "unexplained", "total",
    ]  # fmt: skip
    assert all(line.count('"p50"') <= 1 for line in lines)


def test_one_line_a_tail_in_the_order_of_the_path(run: Digest) -> None:
    text = dumps(made(deterministic(run)))
    rows = json.loads(text)["runs"][0]["tails"]
    stages = ["reply", "queue", "wake", "copy", "recv_exit", "decode", "unexplained", "total"]
    assert [row[:3] for row in rows] == [["notify", "msgchan icmp", stage] for stage in stages]
    assert all(f"{json.dumps(row)}" in text for row in rows)
    values, counts = rows[0][3::2], rows[0][4::2]
    assert values == sorted(values, reverse=True)
    assert counts == sorted(counts)
    assert counts[-1] == run.lines.loc[("notify", "msgchan icmp", "reply", "p90"), "count"]
    assert json.loads(dumps(made(run)))["runs"][0]["tails"] == []


def test_only_the_types_that_are_asked_for(run: Digest) -> None:
    (kept,) = made(run, types=("getsockopt",)).runs
    assert set(kept.lines.index.get_level_values("channel")) == {"getsockopt"}
    assert {channel for channel, _ in kept.outcomes} == {"getsockopt"}
    assert {kind[0] for kind, _ in kept.left_out} == {"getsockopt"}
    assert len(kept.lines) < len(run.lines)


def test_date_and_host_are_told_on_a_wall_clock_only(run: Digest) -> None:
    wall, counted = dumps(made(run)), dumps(made(deterministic(run)))
    assert json.loads(wall)["made"]["date"] == "today"
    assert "host" in json.loads(wall)["made"]
    assert run.started in wall
    assert "date" not in json.loads(counted)["made"]
    assert '"host"' not in counted
    assert run.started not in counted


def test_runs_under_different_conditions_are_no_baseline(run: Digest) -> None:
    other = replace(run, conditions=run.conditions | {"kernel": "7.0"})
    with pytest.raises(TracerError, match="recorded under different conditions"):
        made(run, other)


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return apply


def first_line(value: dict[str, Any]) -> list[Any]:
    line: list[Any] = value["runs"][0]["lines"][0]
    return line


def first_tail(value: dict[str, Any]) -> list[Any]:
    """Of one stage: channel, name, stage, then values and how many took at least that."""
    tail: list[Any] = value["runs"][0]["tails"][0]
    return tail


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "it is damaged: it is no JSON"),
        (lambda text: text.replace("{\n", "{\n<<<<<<< HEAD\n", 1), "it is no JSON"),
        (lambda text: "[]", "its schema is none, this tracer reads 3"),
        (changed(lambda v: v.update(schema=2)), "its schema is 2, this tracer reads 3"),
        (changed(lambda v: v.pop("conditions")), "'conditions' is missing"),
        (changed(lambda v: v["conditions"].pop("kernel")), "condition 'kernel' is missing"),
        (changed(lambda v: v["conditions"].pop("plan")), "condition 'plan' is missing"),
        (changed(lambda v: v["conditions"].update(moon="full")), "condition 'moon' is unknown"),
        (changed(lambda v: v["columns"].pop()), "its columns are not those"),
        (changed(lambda v: v.update(runs=[])), "it holds no run"),
        (changed(lambda v: v.update(runs=None)), "it holds no run"),
        (changed(lambda v: v["runs"][0].update(lines=[])), "echo.json has no lines"),
        (changed(lambda v: v["runs"][0]["lines"].append(first_line(v))), "has a line twice: "),
        (changed(lambda v: first_line(v).pop()), "a line has no 10 values"),
        (changed(lambda v: first_line(v).__setitem__(0, 7)), "is not 4 texts"),
        (changed(lambda v: first_line(v).__setitem__(5, "7")), "values are not in order"),
        (changed(lambda v: first_line(v).__setitem__(5, 1 << 40)), "values are not in order"),
        (changed(lambda v: first_line(v).__setitem__(8, 1 << 40)), "values are not in order"),
        (changed(lambda v: first_line(v).__setitem__(5, True)), "values are not in order"),
        (changed(lambda v: first_line(v).__setitem__(4, -1)), "values are not in order"),
        (changed(lambda v: v["runs"][0].pop("tails")), "'tails' is missing"),
        (changed(lambda v: v["runs"][0]["tails"].pop()), "echo.json has no tail of 46 exchanges"),
        (changed(lambda v: first_tail(v).pop()), "is shorter than"),
        (changed(lambda v: first_tail(v).__setitem__(2, 7)), "is not 3 texts"),
        (changed(lambda v: first_tail(v).__setitem__(4, 1.5)), "what is no whole number"),
        (changed(lambda v: first_tail(v).__setitem__(4, 0)), "values do not fall while"),
        (changed(lambda v: first_tail(v).__setitem__(-1, 1 << 40)), "has no tail of"),
        (changed(lambda v: v["conditions"]["plan"].append(["x"])), "is not 3 texts"),
        (changed(lambda v: v["conditions"].update(kernel=6)), "kernel is no text"),
        (changed(lambda v: v.update(made=[])), "has no attribute"),
        (changed(lambda v: v.update(deterministic="no")), "neither true nor false"),
        (changed(lambda v: v["runs"][0]["outcomes"].append(["a", "b", "c", 0])), "could not conv"),
    ],
)  # fmt: skip
def test_damage_is_one_clear_line(
    run: Digest, tmp_path: Path, damage: Callable[[str], str], said: str
) -> None:
    path = stored(made(deterministic(run)), tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(TracerError, match=re.escape(said)) as failure:
        load(path)
    assert str(path) in str(failure.value)
    assert "--latency-update" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_remark_that_runs_do_not_have_is_no_difference(run: Digest, tmp_path: Path) -> None:
    path = stored(made(run), tmp_path)
    path.write_text(changed(lambda v: v["remarks"].update(moon="full"))(path.read_text()))
    assert compare_digests(load(path).runs, [run]).notes == compare_digests([run], [run]).notes


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match=r"cannot read the baseline .*No such file"):
        load(tmp_path / "none.json")
