# SPDX-License-Identifier: GPL-2.0-or-later
"""The frames of a recording that was made in the lab, opened here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from properties import check
from recording_copies import ALL_CHANNELS, Copy

import tracer
from tracer.correlate.exchanges import CHANNELS, MATCHES, STATUSES
from tracer.correlate.stages import STAGES
from tracer.errors import TracerError
from tracer.event import POINTS
from tracer.frames.ledger import COLUMNS
from tracer.recording import RecordingWriter
from tracer.run import Run, load_runs

EVENTS = {
    "start_ns": "int64", "end_ns": "int64", "point": "category", "kind": "uint8",
    "depth": "uint8", "cpu": "uint16", "tid": "uint32", "tgid": "uint32", "comm": "category",
    "netns": "uint32", "sock": "int32", "skb": "int32", "token": "uint64", "proto": "uint8",
    "portid": "uint32", "seq": "uint32", "type": "uint32", "flags": "uint32", "size": "uint32",
    "ret": "int32", "direction": "uint8",
}  # fmt: skip
SENDS = {
    "begin_ns": "int64", "end_ns": "int64", "intended_ns": "int64", "tid": "uint32",
    "tgid": "uint32", "portid": "uint32", "seq": "uint32", "size": "uint32", "token": "uint64",
    "type": "uint16", "errno": "uint16", "channel": "uint8", "kind": "uint8", "proto": "uint8",
}  # fmt: skip
EXCHANGES = {
    "channel": "category", "name": "category", "comm": "category", "status": "category",
    "match": "category", "token": "uint64", "logged": "bool", "start_ns": "int64",
    "total_ns": "int64", "unexplained_ns": "int64",
    **dict.fromkeys(
        ("tgid", "tid", "netns", "proto", "portid", "seq", "msg_type", "optname", "level", "buffer",
         "request_bytes", "reply_bytes", "copied_bytes", "replies", "errno", "send_return_ns",
         "first_reply_ns", *(f"{stage}_ns" for stage in STAGES)),
        "Int64",
    ),
}  # fmt: skip
STAGE_ROWS = {
    "exchange": "int64",
    "stage": "category",
    "occurrence": "int64",
    "start_ns": "int64",
    "dur_ns": "int64",
}
WITHOUT_BCC_AND_ROOT = """
import os, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "bcc":
            raise ImportError("bcc is blocked")
sys.meta_path.insert(0, Refuse())
import tracer
run = tracer.load(sys.argv[1])
if os.geteuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
print(len(run.events), len(run.exchanges), run.trusted, "bcc" in sys.modules)
"""


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.fixture(scope="module")
def run() -> Run:
    return tracer.load(ALL_CHANNELS)


def test_what_must_hold_of_every_recording(run: Run) -> None:
    check(run)


def test_loading_needs_neither_bcc_nor_root() -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_BCC_AND_ROOT, ALL_CHANNELS],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == f"{len(tracer.load(ALL_CHANNELS).events)} 117 True False\n"


def test_columns_and_types(run: Run) -> None:
    assert dtypes(run.events) == EVENTS
    assert dtypes(run.sends) == SENDS
    assert dtypes(run.exchanges) == EXCHANGES
    assert dtypes(run.stages) == STAGE_ROWS
    assert tuple(run.ledger.columns) == COLUMNS


def test_an_empty_recording_has_the_same_types(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "run", {}).close({})
    empty = tracer.load(tmp_path / "run")
    assert dtypes(empty.events) == EVENTS
    assert dtypes(empty.sends) == SENDS
    assert dtypes(empty.exchanges) == EXCHANGES
    assert dtypes(empty.stages) == STAGE_ROWS


@pytest.mark.parametrize("frame", ["events", "exchanges", "stages"])
def test_categories_of_an_empty_recording_are_strings_too(
    run: Run, frame: str, tmp_path: Path
) -> None:
    RecordingWriter(tmp_path / "run", {}).close({})
    empty = getattr(tracer.load(tmp_path / "run"), frame)
    found = {name: column.cat.categories.dtype for name, column in empty.items()
             if isinstance(column.dtype, pd.CategoricalDtype)}  # fmt: skip
    full = getattr(run, frame)
    assert found
    assert found == {name: full[name].cat.categories.dtype for name in found}


def test_categories(run: Run) -> None:
    assert tuple(run.exchanges["channel"].cat.categories) == CHANNELS
    assert tuple(run.exchanges["status"].cat.categories) == STATUSES
    assert tuple(run.exchanges["match"].cat.categories) == MATCHES
    assert tuple(run.stages["stage"].cat.categories) == STAGES
    assert set(run.events["point"].cat.categories) <= set(POINTS)


def test_exchanges_are_sorted_and_complete(run: Run) -> None:
    exchanges = run.exchanges
    assert exchanges["start_ns"].is_monotonic_increasing
    assert exchanges.index.tolist() == list(range(len(exchanges)))
    assert exchanges["channel"].value_counts().to_dict() == {
        "notify": 46, "netlink": 25, "setsockopt": 23, "getsockopt": 23, "peer": 0,
    }  # fmt: skip
    assert (exchanges["status"] == "ok").all()
    assert exchanges["logged"].all()
    answered = exchanges["channel"] == "netlink"
    assert exchanges.loc[answered, "match"].eq("nested").all()
    assert exchanges.loc[~answered, "match"].isna().all()
    assert (exchanges["unexplained_ns"] == 0).all()


def test_stages_of_each_channel(run: Run) -> None:
    """What a full plan sees of each channel, as DESIGN.md lists it."""
    expected = {
        "netlink": "encode send_entry deliver handler reply queue wake copy recv_exit decode",
        "setsockopt": "encode entry handler exit decode",
        "getsockopt": "encode entry handler copy exit decode",
        "notify": "reply queue wake copy recv_exit decode",
    }
    for channel, stages in expected.items():
        rows = run.exchanges[run.exchanges["channel"] == channel]
        seen = {s for s in STAGES if rows[f"{s}_ns"].notna().any()}
        assert seen == set(stages.split()), channel
        assert rows[[f"{s}_ns" for s in seen]].notna().all(axis=None), channel


def test_columns_are_the_sums_of_the_stages(run: Run) -> None:
    sums = run.stages.groupby(["exchange", "stage"], observed=True)["dur_ns"].sum()
    for stage in STAGES:
        column = run.exchanges[f"{stage}_ns"].dropna().astype("int64")
        there = sums.xs(stage, level="stage") if stage in sums.index.levels[1] else []
        assert column.tolist() == list(there), stage


def test_names_of_threads(run: Run) -> None:
    assert set(run.events["comm"]) == {"tracer"}
    assert set(run.exchanges["comm"]) == {"tracer"}


def test_the_workload_as_it_was_asked_for(run: Run) -> None:
    echo = run.exchanges[run.exchanges["name"] == "msgchan echo"]
    assert echo["seq"].tolist() == list(range(1, 24))
    assert set(echo["request_bytes"]) == {128}
    assert (echo["copied_bytes"] == echo["reply_bytes"]).all()
    assert (echo["first_reply_ns"] <= echo["total_ns"]).all()
    logged = run.sends[(run.sends["channel"] == 0) & (run.sends["kind"] == 0)]
    np.testing.assert_array_equal(echo["token"], logged.loc[logged["proto"] == 30, "token"])


def test_frames_are_computed_once(run: Run) -> None:
    assert run.exchanges is run.exchanges
    assert run.events is run.events
    assert run.ledger is run.ledger


def test_meta_path_and_repr(run: Run) -> None:
    assert run.path == ALL_CHANNELS
    assert run.meta["command"][-4:] == ["--channel", "all", "--count", "23"]
    assert run.damage == []
    assert repr(run) == f"<Run {ALL_CHANNELS}: {len(run.events)} events>"


def test_a_task_that_is_not_known_yet_has_no_name(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.rows("tasks", lambda tasks: tasks.assign(start_ns=tasks["start_ns"] + 10**12))
    later = copy.load()
    assert set(later.events["comm"]) == {""}
    assert set(later.exchanges["comm"]) == {""}


def test_no_recording() -> None:
    with pytest.raises(TracerError, match="there is no such directory"):
        tracer.load("no/such/recording")


def test_tracer_names_what_it_has_not() -> None:
    with pytest.raises(AttributeError, match="module 'tracer' has no attribute 'lod'"):
        _ = tracer.lod


def test_nothing_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match="no recording matches"):
        load_runs(tmp_path / "none-*")
