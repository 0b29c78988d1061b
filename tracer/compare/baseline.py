# SPDX-License-Identifier: GPL-2.0-or-later
"""Baselines of latency tests: the digests of a test's runs as a small text file, kept in git.

The format is JSON. Each quantile and the tail of each stage has a line of its own, in the order
of an exchange's stages, so that a diff shows which stage changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tracer import __version__
from tracer.compare import survival
from tracer.compare.conditions import SHARED
from tracer.compare.digest import KEY, MEDIAN, VALUES, Digest, Tails
from tracer.errors import TracerError

SCHEMA = 3
_REMAKE = "restore it from version control, or make it anew with pytest --latency-update"
#: The condition that is a set in a digest; the file has it as a sorted list of lists.
_PLAN = "plan"
#: The length of a stage's key: channel, name, stage.
_STAGE = 3


@dataclass(frozen=True)
class Baseline:
    """The runs that a check compares with.

    ``made`` says how they were made: test, command, version of tracer, and on a wall clock
    also date and host.
    """

    runs: tuple[Digest, ...]
    made: dict[str, str] = field(default_factory=dict)


def make(
    runs: Sequence[Digest], types: Sequence[str], *, test: str, command: str, date: str = ""
) -> Baseline:
    """A baseline of these runs, cut down to ``types`` (channels or names; all when empty).

    Raises :class:`TracerError` when the runs were not recorded under the same conditions: a
    baseline has one plan, kernel and clock.
    """
    first = runs[0]
    for run in runs[1:]:
        if (run.conditions, run.deterministic) != (first.conditions, first.deterministic):
            raise TracerError(
                "cannot make a baseline",
                f"{first.name} and {run.name} were recorded under different conditions",
                "record all runs of a baseline on one machine, one after another",
            )
    made = {"test": test, "command": command, "tracer": __version__}
    kept = tuple(_only(run, types) for run in runs)
    if first.deterministic:
        # On the deterministic clock date and host make no difference. Without them the file
        # changes only when the numbers do.
        return Baseline(tuple(replace(run, started="") for run in kept), made)
    # Tails are counted on the deterministic clock only.
    kept = tuple(replace(run, tails={}) for run in kept)
    return Baseline(kept, made | {"date": date, "host": first.remarks.get("host", "?")})


def dumps(baseline: Baseline) -> str:
    """The text of the baseline's file."""
    first = baseline.runs[0]
    remarks = dict(first.remarks)
    if first.deterministic:
        remarks.pop("host", None)
    value = {
        "schema": SCHEMA,
        "made": baseline.made,
        "deterministic": first.deterministic,
        "conditions": {
            name: [list(site) for site in sorted(found)] if name == _PLAN else found
            for name, found in sorted(first.conditions.items())
        },
        "remarks": remarks,
        "columns": [*KEY, *VALUES],
        "runs": [_run_value(run) for run in baseline.runs],
    }
    return _render(value, 0) + "\n"


def load(path: Path) -> Baseline:
    """Read a baseline file; its runs are named after it.

    Raises :class:`TracerError` for a file that is not there, damaged, or of another schema.
    """
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        why = error.strerror or str(error)
        raise TracerError(f"cannot read the baseline {path}", why, _REMAKE) from error
    except ValueError as error:
        raise _damaged(path, f"it is no JSON ({error})") from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        found = value.get("schema", "none") if isinstance(value, dict) else "none"
        raise TracerError(
            f"cannot use the baseline {path}",
            f"its schema is {found}, this tracer reads {SCHEMA}",
            "make it anew with pytest --latency-update",
        )
    try:
        return _baseline(path, value)
    except KeyError as error:
        raise _damaged(path, f"{error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, str(error)) from error


# --------------------------------------------------------------------------
# Writing


def _only(run: Digest, types: Sequence[str]) -> Digest:
    """The digest without the types that are not asked for."""
    if not types:
        return run

    def asked(kind: tuple[str, str]) -> bool:
        return kind[0] in types or kind[1] in types

    return replace(
        run,
        lines=run.lines[[asked(key[:2]) for key in run.lines.index]],
        left_out=tuple((kind, text) for kind, text in run.left_out if asked(kind)),
        outcomes={kind: share for kind, share in run.outcomes.items() if asked(kind)},
        tails={stage: table for stage, table in run.tails.items() if asked(stage[:2])},
    )


def _run_value(run: Digest) -> dict[str, Any]:
    return {
        "started": run.started,
        "outcomes": [[*kind, *shares] for kind, shares in run.outcomes.items()],
        "left_out": [[*kind, text] for kind, text in run.left_out],
        "lines": [
            [*key, *(int(v) for v in values)]
            for key, values in zip(run.lines.index, run.lines[VALUES].to_numpy(), strict=True)
        ],
        "tails": [
            [*stage, *(number for entry in table for number in entry)]
            for stage, table in run.tails.items()
        ],
    }


def _render(value: Any, depth: int) -> str:
    """``value`` as indented JSON, in which a list of plain values stays on one line."""
    inside, end = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        told = [f"{json.dumps(name)}: {_render(one, depth + 1)}" for name, one in value.items()]
        return "{" + inside + f",{inside}".join(told) + end + "}"
    if isinstance(value, list) and any(isinstance(one, list | dict) for one in value):
        told = [_render(one, depth + 1) for one in value]
        return "[" + inside + f",{inside}".join(told) + end + "]"
    return json.dumps(value, ensure_ascii=False)


# --------------------------------------------------------------------------
# Reading


def _damaged(path: Path, why: str) -> TracerError:
    return TracerError(f"cannot use the baseline {path}", f"it is damaged: {why}", _REMAKE)


def _baseline(path: Path, value: dict[str, Any]) -> Baseline:
    if value["columns"] != [*KEY, *VALUES]:
        raise ValueError("its columns are not those of this schema")
    if not isinstance(value["deterministic"], bool):
        raise ValueError("deterministic is neither true nor false")
    conditions = dict(value["conditions"])
    _require_conditions(conditions)
    plan = frozenset(tuple(_texts(site, 3)) for site in conditions.pop(_PLAN))
    shared = {
        "conditions": _named_texts(conditions) | {_PLAN: plan},
        "deterministic": value["deterministic"],
        "remarks": _named_texts(value["remarks"]),
    }
    runs = value["runs"]
    if not isinstance(runs, list) or not runs:
        raise ValueError("it holds no run")
    read = [
        _run(f"{path.name} run {number}" if len(runs) > 1 else path.name, run, shared)
        for number, run in enumerate(runs, 1)
    ]
    return Baseline(tuple(read), _named_texts(value["made"]))


def _require_conditions(found: Iterable[str]) -> None:
    """Raise ``ValueError`` if a condition is missing: it would not be compared then."""
    for name in sorted(set(SHARED).symmetric_difference(found)):
        what = "is missing" if name in SHARED else "is unknown"
        raise ValueError(f"the condition {name!r} {what}")


def _run(name: str, value: dict[str, Any], shared: dict[str, Any]) -> Digest:
    if not value["lines"]:
        raise ValueError(f"{name} has no lines")
    rows = [_line(row) for row in value["lines"]]
    lines = pd.DataFrame(rows, columns=[*KEY, *VALUES]).set_index(KEY)
    twice = lines.index[lines.index.duplicated()]
    if len(twice):
        raise ValueError(f"{name} has a line twice: {' '.join(twice[0])}")
    return Digest(
        name=name,
        lines=lines,
        started=str(value["started"]),
        left_out=tuple(((c, n), t) for c, n, t in (_texts(row, 3) for row in value["left_out"])),
        outcomes={(str(c), str(n)): (float(o), float(e)) for c, n, o, e in value["outcomes"]},
        tails=_tails(name, value["tails"], lines) if shared["deterministic"] else {},
        **shared,
    )


def _line(row: Any) -> list[Any]:
    """Check one line of a quantile: the texts of its key, then ns in rising order."""
    width = len(KEY) + len(VALUES)
    if not isinstance(row, list) or len(row) != width:
        raise ValueError(f"a line has no {width} values: {row}")
    key, values = row[: len(KEY)], row[len(KEY) :]
    _texts(key, len(KEY))
    whole = all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values)
    if not whole or not values[2] <= values[1] <= values[3] or not values[4] <= values[5]:
        raise ValueError(f"a line's values are not in order: {row}")
    return row


def _tails(name: str, rows: Any, lines: pd.DataFrame) -> Tails:
    """The tails, checked.

    Every stage that has a quantile beyond the median must have one, with the same count.
    """
    found: Tails = {}
    for row in rows:
        channel, kind, stage = _texts(row[:_STAGE], _STAGE)
        numbers = row[_STAGE:]
        if any(type(number) is not int for number in numbers):
            raise ValueError(f"a tail holds what is no whole number: {row}")
        table = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        survival.require_sound(table)
        found[channel, kind, stage] = table
    for key, count in lines["count"].items():
        stage = key[:_STAGE]
        if key[_STAGE] != MEDIAN and (stage not in found or found[stage][-1][1] != count):
            raise ValueError(f"{name} has no tail of {count} exchanges: {' '.join(stage)}")
    return found


def _texts(row: Any, width: int) -> list[str]:
    if (
        not isinstance(row, list)
        or len(row) != width
        or not all(isinstance(text, str) for text in row)
    ):
        raise ValueError(f"{row} is not {width} texts")
    return row


def _named_texts(value: Any) -> dict[str, str]:
    found: Iterable[tuple[Any, Any]] = value.items()
    for name, text in found:
        if not isinstance(text, str):
            raise ValueError(f"{name} is no text")
    return dict(value)
