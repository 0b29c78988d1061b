# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing vanishes from a recording unnoticed: every key, every file, one after the other."""

from __future__ import annotations

import copy
import importlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from recording_copies import bad_lines
from run_builder import META, record, times

import tracer
from tracer import plot, run, tables
from tracer.cli import main
from tracer.cli.export import FORMATS
from tracer.compare import digest
from tracer.compare.conditions import CONDITIONS
from tracer.correlate.exchanges import correlate
from tracer.correlate.onepass.run import CALLS
from tracer.errors import TracerError
from tracer.frames import frames
from tracer.frames.ledger import lines
from tracer.plot import svg
from tracer.recording import KINDS, open_recording, reader
from tracer.recording.witnesses import DESCRIPTIVE, LogCount, seal
from tracer.report import html, summary

Step = str | int
REFUSED, UNTRUSTED, TRUSTED = "refused", "untrusted", "trusted"
#: What only the seal keeps: names of the module's build, a process that was traced, when it was
#: interrupted, a site that is one of several of its point.
ONLY_SEALED = re.compile(
    r"module\.(srcversion|build_id|parameters\.relay_\w+)|traced\.\d+|end\.interrupted_ns"
    r"|plan\.\d+ (filter|poll)"
)


class Rows:
    """The rows of one kind, read once: what the reader makes of a table."""

    def __init__(self, table: pa.Table) -> None:
        self.num_rows = table.num_rows
        self._frame = table.to_pandas()

    def to_pandas(self, **_how: Any) -> pd.DataFrame:
        return self._frame.copy(deep=False)


class Judged:
    """A recording whose ``meta.json`` is changed again and again, and what is said of it.

    Its files stay as they are, so they are read once.
    """

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        opened = open_recording(path)
        assert opened.damage == []
        rows = {kind: Rows(reader._read_kind(path / kind, kind, [])) for kind in KINDS}
        monkeypatch.setattr(reader, "_read_kind", lambda directory, kind, damage: rows[kind])
        self.meta = opened.meta
        # What becomes of the frames does not hang on what is changed here.
        records = {kind: getattr(opened, kind) for kind in CALLS}
        self._correlation = correlate(records, opened.sends, opened.tasks, opened.meta)
        assert self.say(self.meta) == TRUSTED

    def say(self, meta: Any) -> str:
        (self.path / "meta.json").write_text(json.dumps(meta))
        try:
            found = open_recording(self.path)
        except TracerError as error:
            return REFUSED if "\n" not in str(error) else f"not in one line: {error}"
        rows = {kind: getattr(found, kind) for kind in KINDS}
        told = list(lines(found.meta, rows, self._correlation, found.damage))
        counts = [n for line in told for n in (line.count, line.other, line.difference)]
        # What the ledger's columns of 64 bits hold.
        assert all(-(2**63) <= n < 2**63 for n in counts if n is not None)
        return TRUSTED if all(line.ok for line in told) else UNTRUSTED


@pytest.fixture
def today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """A recording by today's writer."""
    return Judged(record(tmp_path / "today", times(np.random.default_rng(1), 3)), monkeypatch)


def places(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every key of every object and every item of every list below ``value``."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def copied(meta: dict[str, Any], path: tuple[Step, ...]) -> tuple[dict[str, Any], Any]:
    """``meta`` with copies of all that lies on the way to ``path``, and the last of these."""
    changed: Any = copy.copy(meta)
    place = changed
    for step in path[:-1]:
        place[step] = copy.copy(place[step])
        place = place[step]
    return changed, place


def without(meta: dict[str, Any], path: tuple[Step, ...]) -> dict[str, Any]:
    changed, place = copied(meta, path)
    del place[path[-1]]
    return changed


def with_(meta: dict[str, Any], path: tuple[Step, ...], value: Any) -> dict[str, Any]:
    changed, place = copied(meta, path)
    place[path[-1]] = value
    return changed


def sealed(meta: dict[str, Any]) -> dict[str, Any]:
    """Sealed anew, as by a recorder that forgot something."""
    return meta | {"seal": seal(meta)} if "seal" in meta else meta


def as_it_is(meta: dict[str, Any]) -> dict[str, Any]:
    return meta


def name(meta: dict[str, Any], path: tuple[Step, ...]) -> str:
    """The place as a dotted path; a row of the plan with its point."""
    told = ".".join(map(str, path))
    return f"{told} {meta['plan'][path[1]]['point']}" if path[0] == "plan" and path[1:] else told


def believed(judged: Judged, finish: Callable[[dict[str, Any]], dict[str, Any]]) -> set[str]:
    """The places that may be removed or set to null and leave the recording trusted."""
    meta = judged.meta
    found = set()
    for path in places(meta):
        changes = [without(meta, path)]
        if len(path) <= 2:
            changes.append(with_(meta, path, None))
        changes = [finish(change) for change in changes if change != meta]
        if any(judged.say(change) == TRUSTED for change in changes):
            found.add(name(meta, path))
    return {place for place in found if place.split(".")[0] not in DESCRIPTIVE}


def test_nothing_is_missing_from_a_sealed_recording_unnoticed(today: Judged) -> None:
    assert believed(today, as_it_is) == set()


def test_what_a_recorder_forgot_is_noticed_without_the_seal(today: Judged) -> None:
    found = believed(today, sealed) - {"seal"}
    assert {place for place in found if not ONLY_SEALED.fullmatch(place)} == set()


def test_what_is_descriptive_may_be_missing_or_changed(today: Judged) -> None:
    assert set(DESCRIPTIVE) & set(today.meta) >= {"host", "command", "started"}
    meta = {key: value for key, value in today.meta.items() if key not in DESCRIPTIVE}
    assert today.say(meta) == TRUSTED
    assert today.say(today.meta | {"command": ["secret removed"], "host": "elsewhere"}) == TRUSTED


@pytest.mark.parametrize(
    "path",
    [
        ("clock", "deterministic"), ("plan", 0, "site"), ("stats", "after", "ports", "100",
         "requests"), ("accounts", "send", "emitted"),
        ("decoded", "recv", "checksum"), ("rows", "send_calls", "checksum"), ("segments", "sends"),
        ("end", "stopped_ns"),
        ("schema",), ("clean",), ("log", "100", "time_sum"), ("kernel",), ("cpus",), ("seal",),
    ],
)  # fmt: skip
def test_nothing_is_changed_unnoticed(today: Judged, path: tuple[Step, ...]) -> None:
    value: Any = today.meta
    for step in path:
        value = value[step]
    other = {bool: lambda: not value, int: lambda: value - 1, str: lambda: f"{value}x"}
    assert today.say(with_(today.meta, path, other[type(value)]())) != TRUSTED


@pytest.mark.parametrize("other", [[], {}, "x", 1.5, True, 10**30, -(10**30), [[]], [None]])
def test_a_value_of_another_type_is_one_line(today: Judged, other: Any) -> None:
    for path in places(today.meta):
        changed = with_(today.meta, path, other)
        allowed = {REFUSED, UNTRUSTED}
        if path[0] in DESCRIPTIVE or changed == today.meta:
            allowed.add(TRUSTED)
        assert today.say(changed) in allowed, path


def test_the_log_removed_together_with_its_row_count(tmp_path: Path) -> None:
    made = record(tmp_path / "run", times(np.random.default_rng(1), 3))
    shutil.rmtree(made / "sends")
    meta = json.loads((made / "meta.json").read_text())
    meta["segments"]["sends"] = 0
    for change in (meta, sealed(meta)):
        (made / "meta.json").write_text(json.dumps(change))
        run = tracer.load(made)
        assert "entries of the log" in bad_lines(run)
        (told,) = run.ledger[run.ledger["line"] == "entries of the log"].to_dict("records")
        assert (told["count"], told["other"]) == (6, 0)
        assert told["note"] == "process 100: they differ in number or times"


@pytest.mark.parametrize("kind", ["send_calls", "recv_calls", "sends", "tasks"])
def test_every_file(tmp_path: Path, kind: str) -> None:
    made = record(tmp_path / "run", times(np.random.default_rng(1), 3))
    (file,) = (made / kind).glob("*.parquet")
    file.unlink()
    assert not tracer.load(made).trusted
    shutil.rmtree(made / kind)
    assert not tracer.load(made).trusted


def test_a_clock_that_counts_instructions_belongs_to_one_processor(tmp_path: Path) -> None:
    clock = META["clock"] | {"deterministic": True}
    three = times(np.random.default_rng(1), 3)
    assert tracer.load(record(tmp_path / "one", three, clock=clock)).trusted
    assert bad_lines(tracer.load(record(tmp_path / "two", three, clock=clock, cpus=2))) == [
        "processors"
    ]


def test_a_recording_that_was_not_closed_says_unknown(tmp_path: Path) -> None:
    made = record(tmp_path / "run", times(np.random.default_rng(1), 3), close=False)
    run = tracer.load(made)
    assert not run.trusted
    lines = run.ledger.set_index("line")
    for line in ("records of send", "records of task", "rows of recv_calls", "ring full",
                 "recursion misses", "msgchan requests", "entries of the log"):  # fmt: skip
        assert pd.isna(lines.loc[line, "count"]), line
        assert pd.isna(lines.loc[line, "difference"]), line
        assert lines.loc[line, "note"] == "unknown: the recording was not closed"
    assert "0 by probe" not in run.ledger.to_string()
    assert lines.loc["witnesses missing", "note"].endswith("the recording was not closed")
    result = click.testing.CliRunner().invoke(main, ["report", str(made)])
    assert "records of send: probe unknown, recording 3, difference unknown" in result.output


def commands(judged: Judged, whole: Path) -> list[list[str]]:
    """Every command that reads a recording, in every format; ``whole`` is another recording."""
    at, out = str(judged.path), str(judged.path.parent / "out")
    waived = [word for what in CONDITIONS for word in ("--allow", what)]
    return [
        ["report", at],
        ["report", at, "--json"],
        ["report", at, "--html", out],
        ["compare", str(whole), at, *waived],
        *(["export", at, "--format", name, "-o", out] for name in FORMATS),
    ]


def stumbles(judged: Judged, whole: Path, meta: dict[str, Any]) -> dict[str, BaseException]:
    """The commands that fail without saying why in one line when ``meta`` is in ``meta.json``."""
    (judged.path / "meta.json").write_text(json.dumps(meta))
    found: dict[str, BaseException] = {}
    for command in commands(judged, whole):
        # Without --debug whatever a command raises is one line, but no clear one.
        error = click.testing.CliRunner().invoke(main, ["--debug", *command]).exception
        if isinstance(error, TracerError):
            assert "\n" not in str(error)
        elif error is not None and not isinstance(error, SystemExit):
            found[" ".join(command)] = error
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs on the exchanges alone is not done again for every change of ``meta.json``.

    Of that, correlation looks at the module only; figures look at nothing. And the commands that
    are given one ``meta.json`` share one run with its frames, as they do in a notebook.
    """
    load = run.load

    @lru_cache(3)  # the whole one, the one before, and this one
    def load_once(path: Path, _meta: str) -> run.Run:
        return load(path)

    monkeypatch.setattr(run, "load", lambda path: load_once(path, (path / "meta.json").read_text()))
    known: dict[str, Any] = {}

    def once(*frames_and_meta: Any) -> Any:
        module = json.dumps(frames_and_meta[-1].get("module"))
        if module not in known:
            known[module] = correlate(*frames_and_meta)
        return known[module]

    def once_a_frame(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        made: dict[int, tuple[Any, Any]] = {}

        def remembered(exchanges: Any) -> Any:
            if id(exchanges) not in made:
                made[id(exchanges)] = exchanges, function(exchanges)
            return made[id(exchanges)][1]

        return remembered

    monkeypatch.setattr(frames, "correlate", once)
    of_exchanges = {
        digest: ("quantile_lines", "tails"),
        tables: ("stage_table", "size_table", "outcome_table"),
        summary: ("distribution_table", "time_table", "size_latency_table", "slowest_table"),
        html: ("slowest_table",),
    }
    for module, names in of_exchanges.items():
        for name in names:
            monkeypatch.setattr(module, name, once_a_frame(getattr(module, name)))
    for name in ("distribution", "heatmap", "sizes"):
        monkeypatch.setattr(plot, name, lambda run, shown: None)
    # Its name in the package is the function's.
    waterfall = importlib.import_module("tracer.plot.waterfall")
    monkeypatch.setattr(waterfall, "median", lambda run, shown: None)
    monkeypatch.setattr(svg, "inline", lambda drawing, key: "")


@pytest.mark.usefixtures("quick")
def test_no_command_stumbles_over_what_is_missing(today: Judged, tmp_path: Path) -> None:
    shutil.copytree(today.path, tmp_path / "whole")
    for key in today.meta:
        assert stumbles(today, tmp_path / "whole", without(today.meta, (key,))) == {}, key
        assert stumbles(today, tmp_path / "whole", with_(today.meta, (key,), None)) == {}, key


def test_what_a_command_says_of_it_tells_what_is_missing(today: Judged) -> None:
    for key in today.meta:
        (today.path / "meta.json").write_text(json.dumps(without(today.meta, (key,))))
        status = click.testing.CliRunner().invoke(main, ["report", str(today.path)]).exit_code
        assert status in ((0,) if key in DESCRIPTIVE else (1, 2)), key


def test_the_log_is_counted_by_process_whatever_the_order() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"tgid": rng.integers(1, 4, 101), "begin_ns": rng.integers(0, 2**63, 101),
         "end_ns": rng.integers(0, 2**63, 101)}
    )  # fmt: skip
    count = LogCount()
    for part in (frame[:23], frame[23:23], frame[23:].sample(frac=1, random_state=1)):
        count.add(part)
    mine = frame[frame["tgid"] == 2]
    sums = sum(map(int, mine["begin_ns"])) + sum(map(int, mine["end_ns"]))
    assert count.as_dict()["2"] == {"entries": len(mine), "time_sum": sums % 2**64}
    assert count.as_dict().keys() == {"1", "2", "3"}
