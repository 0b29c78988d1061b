# SPDX-License-Identifier: GPL-2.0-or-later
"""The frames of a recording: whose threads they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_builder import NETNS, PID, record, times

from tracer.errors import TracerError
from tracer.run import Run, load

#: The first record of the recording is of about this time.
BEGAN_NS = 1


def ran(tid: Any, comm: str) -> dict[str, Any]:
    """A thread that ran when it was traced, as ``meta.json`` tells of it."""
    about = {"start_ns": BEGAN_NS, "tgid": PID, "ppid": 1, "netns": NETNS}
    return {**about, "tid": tid, "comm": comm}


def recorded(path: Path, running: Any) -> Run:
    return load(record(path, times(np.random.default_rng(1), 3), running=running))


def test_a_thread_that_ran_already_has_its_name(tmp_path: Path) -> None:
    run = recorded(tmp_path / "r", [ran(7, "other"), ran(PID, "daemon")])
    run._recording.tasks = run._recording.tasks.iloc[:0]
    assert run.exchanges["comm"].unique().tolist() == ["daemon"]
    assert set(run.events["comm"]) == {"daemon"}


def test_what_it_executes_later_renames_it(tmp_path: Path) -> None:
    """Those that ran come first among the tasks, and the ledger counts the records alone."""
    plain = recorded(tmp_path / "plain", [])
    run = recorded(tmp_path / "r", [ran(7, "other"), ran(PID, "daemon")])
    assert run.tasks["tid"].tolist() == [7, PID, *plain.tasks["tid"]]
    assert run.tasks.dtypes.to_dict() == plain.tasks.dtypes.to_dict()
    assert run.exchanges["comm"].tolist() == plain.exchanges["comm"].tolist()
    assert "daemon" not in set(run.exchanges["comm"])
    assert run.trusted, run.ledger[~run.ledger["ok"]].to_string()


@pytest.mark.parametrize("running", [[], None])
def test_no_thread_ran_already(tmp_path: Path, running: Any) -> None:
    run = recorded(tmp_path / "r", running)
    assert len(run.tasks) == len(run._recording.tasks)
    assert run.trusted


@pytest.mark.parametrize(
    ("running", "said"),
    [
        ([ran("7", "x")], "running.0.tid should be a whole number"),
        ([{"tid": 1}], "running.0.start_ns should be there"),
        ("x", "running should be a list"),
    ],
)
def test_threads_of_a_wrong_type(tmp_path: Path, running: Any, said: str) -> None:
    with pytest.raises(TracerError, match=said):
        recorded(tmp_path / "r", running)
