# SPDX-License-Identifier: GPL-2.0-or-later
"""All channels together: rows nobody can match, orphans, order, names, nothing at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from call_builder import CALLS, Traffic
from event_builder import PID, ROUND_TRIP, Scene, round_trip, stages_of

from tracer.correlate.stages import STAGES


def test_nothing_recorded() -> None:
    played = Scene().play()
    assert played.exchanges.empty
    assert played.stages.empty
    assert (played.disordered, played.unread) == (0, 0)
    assert {f"{stage}_ns" for stage in STAGES} <= set(played.exchanges.columns)


def test_a_log_without_events() -> None:
    scene = Scene()
    scene.log(0, 100, 150, seq=3, type=0x10, token=9)
    scene.log(1, 160, 190, seq=3)
    scene.log(2, 200, 260, channel=2, type=10129, errno=22)
    played = scene.play()
    assert played.exchanges["status"].tolist() == ["unmatched_user"] * 2
    assert played.exchanges["channel"].tolist() == ["netlink", "getsockopt"]
    assert played.exchanges["match"].isna().all()
    assert played.exchanges["unexplained_ns"].tolist() == [50, 60]
    assert played.exchanges["token"].tolist() == [9, 0]
    assert played.exchanges["errno"].tolist() == [0, 22]
    assert played.exchanges["logged"].all()
    send, call = (row for _n, row in played.exchanges.iterrows())
    assert send[["proto", "portid", "seq", "msg_type", "request_bytes"]].tolist() == [
        30, 100, 3, 0x10, 64,
    ]  # fmt: skip
    assert (call["optname"], call["name"]) == (10129, "msgchan request")
    assert pd.isna(send["optname"])
    assert call[["proto", "portid", "seq", "msg_type"]].isna().all()
    assert played.unread == 1


@pytest.mark.parametrize(("size", "unread"), [(0, 0), (1, 1)])
def test_a_logged_receive_that_got_nothing_need_not_be_seen(size: int, unread: int) -> None:
    scene = Scene()
    scene.log(1, 160, 190, seq=3, size=size)
    assert scene.play().unread == unread


def test_events_without_a_log() -> None:
    scene = Scene()
    round_trip(scene)
    frames = scene.frames()
    scene.frames = lambda seed=None: frames | {"sends": frames["sends"].iloc[:0]}  # type: ignore[method-assign]
    exchange = scene.play().only
    assert (exchange["status"], exchange["match"], exchange["token"]) == ("ok", "nested", 7)
    assert not exchange["logged"]
    known = {s: n for s, n in ROUND_TRIP.items() if s not in ("encode", "decode")}
    assert stages_of(exchange) == known
    assert exchange["total_ns"] == 270


def test_one_request_that_a_logging_process_did_not_log() -> None:
    scene = Scene()
    round_trip(scene, 0, seq=1)
    round_trip(scene, 1000, seq=2)
    frames = scene.frames()
    frames["sends"] = frames["sends"].iloc[1:]
    scene.frames = lambda seed=None: frames  # type: ignore[method-assign]
    exchanges = scene.play().exchanges
    assert exchanges["status"].tolist() == ["unmatched_kernel", "ok"]
    assert pd.isna(exchanges.loc[0, "encode_ns"])
    assert exchanges.loc[0, "start_ns"] == 10


@pytest.mark.parametrize("shift", [-205, -11, 11, 500])
def test_a_log_entry_moved_in_time_matches_nothing(shift: int) -> None:
    """An entry that does not hold its system call is a row of its own, and so is the call."""
    scene = Scene()
    round_trip(scene, 1000)
    frames = scene.frames()
    entry = frames["sends"]["kind"] == 0
    frames["sends"].loc[entry, ["begin_ns", "end_ns"]] += shift
    scene.frames = lambda seed=None: frames  # type: ignore[method-assign]
    exchanges = scene.play().exchanges
    assert sorted(exchanges["status"]) == ["unmatched_kernel", "unmatched_user"]


def test_a_lost_read_costs_stages_but_no_row() -> None:
    """The sums hold (checked by play), and the other rows stay whole."""
    scene = Scene()
    for number in range(5):
        round_trip(scene, 1000 * number, seq=number + 1, skb=number % 2, token=number)
    frames = scene.frames()
    kept = frames["recv_calls"].drop(index=2).reset_index(drop=True)
    scene.frames = lambda seed=None: frames | {"recv_calls": kept}  # type: ignore[method-assign]
    exchanges = scene.play().exchanges
    whole = [row for _n, row in exchanges.iterrows() if stages_of(row) == ROUND_TRIP]
    assert len(whole) == 4
    assert set(exchanges["seq"]) == {1, 2, 3, 4, 5}


def test_the_sums_hold_whichever_record_is_lost() -> None:
    scene = Scene()
    for number in range(3):
        round_trip(scene, 400 * number, seq=number + 1, skb=1, token=number)
    frames = scene.frames()
    for kind in ("send_calls", "recv_calls"):
        for index in frames[kind].index:
            kept = frames | {kind: frames[kind].drop(index=index)}
            scene.frames = lambda seed=None, kept=kept: kept  # type: ignore[method-assign]
            assert len(scene.play().exchanges) >= 2


@pytest.mark.parametrize("seed", range(20))
def test_the_sums_hold_whatever_records_are_lost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    traffic = Traffic(seed)
    traffic.play()
    for number in range(20):
        round_trip(traffic.calls, 10**6 + 1000 * number, seq=number, skb=1, tid=90)
    frames = traffic.calls.frames()
    kept = frames | {
        kind: frames[kind][rng.random(len(frames[kind])) < rng.choice([0.6, 0.8, 0.95])]
        for kind in (*CALLS, "sends")
    }
    traffic.calls.frames = lambda seed=None: kept  # type: ignore[method-assign]
    assert not traffic.calls.play().exchanges.empty


def test_clocks_that_disagree_cost_the_stages_of_that_row_only() -> None:
    scene = Scene()
    round_trip(scene, 0, seq=1)
    round_trip(scene, 1000, seq=2, skb=2)
    frames = scene.frames()
    # By its own CPU's clock the copy ends before it begins.
    frames["recv_calls"].loc[1, "copied_ns"] = 1255
    scene.frames = lambda seed=None: frames  # type: ignore[method-assign]
    played = scene.play()
    assert played.disordered == 1
    assert stages_of(played.exchanges.iloc[0]) == ROUND_TRIP
    assert stages_of(played.exchanges.iloc[1]) == {"unexplained": 300}


def test_rows_are_sorted_and_stages_refer_to_them() -> None:
    scene = Scene()
    for number in (4, 2, 0, 3, 1):
        round_trip(scene, 1000 * number, seq=number + 1, skb=number)
    played = scene.play(seed=1)
    assert played.exchanges["start_ns"].tolist() == [0, 1000, 2000, 3000, 4000]
    queue = played.stages[played.stages["stage"] == "queue"]
    assert queue["exchange"].tolist() == [0, 1, 2, 3, 4]
    assert queue["start_ns"].tolist() == [1000 * n + 185 for n in range(5)]
    assert (played.stages["occurrence"] == 0).all()


def test_names_of_threads_are_those_they_had_at_the_time() -> None:
    scene = Scene()
    scene.task(0, PID, "sh")
    scene.task(500, PID, "drive")
    round_trip(scene, 100, seq=1)
    round_trip(scene, 1000, seq=2, skb=2)
    round_trip(scene, 2000, seq=3, skb=3, tid=101)
    assert scene.play().exchanges["comm"].tolist() == ["sh", "drive", "drive"]


def test_no_task_record_leaves_the_name_empty() -> None:
    scene = Scene()
    round_trip(scene)
    assert scene.play().only["comm"] == ""


def test_tokens_keep_their_64_bits() -> None:
    scene = Scene()
    round_trip(scene, token=2**64 - 3)
    played = scene.play()
    exchange = played.only
    assert (exchange["token"], exchange["logged"]) == (2**64 - 3, True)
    assert played.disagreeing == 0
