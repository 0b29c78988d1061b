# SPDX-License-Identifier: GPL-2.0-or-later
"""A check: compares runs with a baseline by the rules of :mod:`tracer.compare.comparison`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tracer.compare.baseline import Baseline, dumps, load, make
from tracer.compare.comparable import require_comparable
from tracer.compare.comparison import (
    FASTER,
    INCONCLUSIVE,
    SAME,
    SLOWER,
    Comparison,
    Options,
    compare_digests,
)
from tracer.compare.conditions import CONDITIONS, ORDER
from tracer.compare.digest import Digest, digest
from tracer.compare.wall_clock import needed_runs
from tracer.errors import TracerError
from tracer.pytest_plugin import failure, options
from tracer.pytest_plugin.outcome import (
    CHECKS,
    FAILURES,
    UPDATES,
    LatencyFailure,
    LatencyInconclusive,
    LatencyRegression,
    LatencyUnfit,
)
from tracer.report.comparison import summary
from tracer.run import Run

UPDATED, UNFIT = "updated", "unfit"
_NAME = re.compile(r"[\w][\w.+-]*")
_USED = pytest.StashKey[dict[Path, str]]()


@dataclass(frozen=True)
class Asked:
    """The arguments of ``latency.check``."""

    baseline: str
    stages: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    max_shift: str | None = None
    allow: frozenset[str] = frozenset()

    def options(self) -> Options:
        """The options of the comparison. Raises :class:`TracerError` for invalid arguments."""
        share, ns = options.parse_shift(self.max_shift)
        if unknown := sorted(self.allow - set(CONDITIONS)):
            raise TracerError(
                f"cannot allow {unknown[0]!r}",
                "there is no such condition",
                f"choose from {', '.join(CONDITIONS)}",
            )
        return Options(
            min_effect=share,
            min_effect_ns=ns,
            stages=self.stages,
            types=self.types,
            allow=self.allow,
            same_workload=True,
        )


def check(item: pytest.Item, runs: Sequence[Run], asked: Asked) -> Comparison | None:
    """See :meth:`tracer.pytest_plugin.fixture.Latency.check`."""
    entry: dict[str, Any] = {
        "nodeid": item.nodeid,
        "baseline": asked.baseline,
        "stages": list(asked.stages),
        "types": list(asked.types),
        "max_shift": asked.max_shift,
        "recordings": [str(run.path) for run in runs],
        "verdict": UNFIT,
    }
    item.stash.setdefault(CHECKS, []).append(entry)
    try:
        return _checked(item, runs, asked, entry)
    except TracerError as error:
        entry["message"] = str(error)
        raise _noted(item, LatencyUnfit(str(error))) from error
    except LatencyFailure as error:
        entry["message"] = str(error)
        raise _noted(item, error) from error.__cause__
    finally:
        item.user_properties += _properties(entry)


def _noted(item: pytest.Item, failure: LatencyFailure) -> LatencyFailure:
    """Note the failure and return it, so that the test fails even if it catches the exception."""
    item.stash.setdefault(FAILURES, []).append(failure)
    return failure


def _checked(
    item: pytest.Item, runs: Sequence[Run], asked: Asked, entry: dict[str, Any]
) -> Comparison | None:
    how = asked.options()
    path = _path(item, asked.baseline)
    entry["path"] = str(path)
    if not runs:
        raise TracerError(
            "cannot check", "there is no run", "give what latency.trace or latency.repeat made"
        )
    new = [digest(run) for run in runs]
    if item.config.getoption("latency_update"):
        _update(item, new, asked, how, entry)
        return None
    if not path.exists():
        raise LatencyUnfit(
            f"no baseline {path}: nothing to compare with; make it with --latency-update"
        )
    base = load(path).runs
    todo = "record it again, make the baseline anew with --latency-update, or waive it: allow="
    _require_comparable(base, new, how, todo + f"{list(CONDITIONS)}")
    comparison = compare_digests(base, new, how)
    entry |= {"rows": failure.rows(comparison), "comparison": summary(comparison)}
    entry["verdict"] = comparison.verdict
    if comparison.verdict in (SLOWER, INCONCLUSIVE):
        kind = LatencyRegression if comparison.verdict == SLOWER else LatencyInconclusive
        raise kind(*failure.told(comparison, runs, asked.baseline, path))
    # The text of a failure contains the notes. A check that passes has no text: keep them here.
    entry["note"] = "; ".join(comparison.notes)
    return comparison


def _require_comparable(
    base: Sequence[Digest], new: Sequence[Digest], how: Options, todo: str
) -> None:
    """:func:`~tracer.compare.comparable.require_comparable` with the advice ``todo``.

    That function's own advice names options of ``tracer compare``, which a test does not have.
    """
    try:
        require_comparable(base, new, how.allow, how.types, how.same_workload)
    except TracerError as error:
        raise TracerError(error.what, error.why, todo) from error


def _path(item: pytest.Item, name: str) -> Path:
    """The file of the baseline. Raises :class:`TracerError` for an invalid name."""
    if not _NAME.fullmatch(name):
        raise TracerError(
            f"cannot use the baseline name {name!r}",
            "it becomes a file's name",
            "use letters, digits and . + - _ only",
        )
    directory = item.config.getini("latency_baselines")
    root = item.config.rootpath / directory if directory else item.path.parent / "baselines"
    return root / f"{name}.json"


# --------------------------------------------------------------------------
# --latency-update


def _update(
    item: pytest.Item, new: Sequence[Digest], asked: Asked, how: Options, entry: dict[str, Any]
) -> None:
    """Note the baseline to write. `tracer.pytest_plugin.results` writes it if the test passes."""
    path = Path(entry["path"])
    _require_one_user(item, path, asked.baseline)
    how = replace(how, allow=how.allow - {"untrusted"})
    # Runs that cannot be compared with each other are no baseline.
    _require_comparable(new, new, how, "record it again: a baseline holds nothing else")
    itself = compare_digests(new, new, how)
    known = item.stash.setdefault(UPDATES, [])
    types = _all_types(known, path, asked, entry["recordings"])
    lab = "--latency-lab " if os.environ.get("TRACER_LAB") == "1" else ""
    made = make(
        new,
        types,
        test=item.nodeid,
        command=f"pytest {lab}--latency-update",
        date=datetime.now(UTC).date().isoformat(),
    )
    entry |= {"verdict": UPDATED, "rows": _changes(path, made, how)}
    if not itself.deterministic and (note := _wall_clock_note(len(new), how)):
        entry["note"] = note
    known.append(
        {
            "path": str(path),
            "text": dumps(made),
            "types": list(types),
            "recordings": entry["recordings"],
        }
    )


def _wall_clock_note(runs: int, how: Options) -> str:
    """Why checks against such a wall-clock baseline would be inconclusive; "" if they are not."""
    told = []
    if runs < (few := needed_runs(how.false_alarms)):
        told.append(f"on a wall clock fewer than {few} runs a side settle next to nothing")
    if ORDER not in how.allow:
        told.append(failure.OUT_OF_TURN.replace("\n", " "))
    return "; ".join(told)


def _require_one_user(item: pytest.Item, path: Path, name: str) -> None:
    users = item.config.stash.setdefault(_USED, {})
    if users.setdefault(path, item.nodeid) != item.nodeid:
        raise LatencyUnfit(
            f"baseline {name!r} belongs to {users[path]} already: one would overwrite the other; "
            "give each test its own name"
        )


def _all_types(
    known: list[dict[str, Any]], path: Path, asked: Asked, recordings: list[str]
) -> tuple[str, ...]:
    """The types of all checks of this test with this baseline; empty means all types."""
    before = [one for one in known if one["path"] == str(path)]
    if any(one["recordings"] != recordings for one in before):
        raise LatencyUnfit(
            f"baseline {asked.baseline!r} is checked with two sets of runs in one test: one would "
            "overwrite the other; give each its own name"
        )
    if not asked.types or any(not one["types"] for one in before):
        return ()
    return tuple(dict.fromkeys([*(t for one in before for t in one["types"]), *asked.types]))


def _changes(path: Path, made: Baseline, how: Options) -> list[dict[str, Any]]:
    """By type the median of the total in the old baseline, if it can be read, and in the new."""
    try:
        old = load(path).runs
        waived = replace(how, stages=("total",), types=(), allow=frozenset(CONDITIONS))
        rows = failure.medians(compare_digests(old, made.runs, waived))
    except TracerError:
        alone = compare_digests(made.runs, made.runs, replace(how, stages=("total",), types=()))
        rows = [
            row | {"base_ns": None, "change_ns": None, "change": None}
            for row in failure.medians(alone)
        ]
    return [row | {"verdict": UPDATED} for row in rows]


# --------------------------------------------------------------------------
# JUnit


def _properties(entry: dict[str, Any]) -> list[tuple[str, object]]:
    """The properties for JUnit: ``latency.<baseline>.<what>`` and their values.

    ``<what>`` is verdict, type, stage, change_ns, change_percent or note.
    """
    found: dict[str, object] = {"verdict": entry["verdict"]}
    if entry["verdict"] == FASTER:
        entry["note"] = "faster: update the baseline?"
    if entry["verdict"] in (SLOWER, FASTER, SAME, INCONCLUSIVE):
        most = max(entry["rows"], key=lambda row: abs(row["change_ns"]))
        found |= {"type": most["type"], "stage": most["stage"]}
        found["change_ns"] = round(most["change_ns"])
        if most["change"] is not None and not pd.isna(most["change"]):
            found["change_percent"] = round(100 * most["change"], 2)
    if "note" in entry:
        found["note"] = entry["note"]
    return [(f"latency.{entry['baseline']}.{name}", value) for name, value in found.items()]
