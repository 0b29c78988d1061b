# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recording that ended in the middle may lack: what was open, and not one call more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recording_copies import ALL_CHANNELS, Copy, bad_lines
from run_builder import NETNS, PID, PORT, record, times

import tracer
from tracer.correlate.user import CALL, RECEIVE, SEND
from tracer.frames.slack import MODULE_CHANNELS, Slack
from tracer.run import Run

ECHOES = 74


def ended(cut: list[int], *, at: int = 2**62, **more: Any) -> dict[str, Any]:
    """``end`` of meta.json: tracing stopped at ``at`` (ns), ``cut`` are the threads cut off."""
    end = {"interrupted_ns": at, "stopping_ns": at, "stopped_ns": at + 1000, "open": []}
    return {"end": end | {"cut": cut} | more, "cut": 75}


def opened(point: str, proto: int = 0, portid: int = 0) -> dict[str, Any]:
    who = {"tid": PID, "tgid": PID, "start_ns": 1}
    return who | {"point": point, "proto": proto, "portid": portid}


def stats(requests: int, replies: int = ECHOES) -> dict[str, Any]:
    """The module's two readings, of so many requests and replies on the builder's port."""

    def reading(asked: int, answered: int) -> dict[str, Any]:
        seen = {
            name: {"foreign": 0, "replies": 0, "foreign_replies": 0} for name in MODULE_CHANNELS
        }
        seen["netlink"]["replies"] = answered
        idle = dict.fromkeys(
            ("requests", "replies", "copies", "request_bytes", "reply_bytes", "errors"), 0
        )
        counters = {name: dict(idle) for name in MODULE_CHANNELS}
        counters["netlink"]["requests"] = asked
        ports = {str(PORT): idle | {"requests": asked}}
        return {"early": seen, "late": seen, "counters": counters, "ports": ports}

    return {"before": reading(0, 0), "after": reading(requests, replies)}


def interrupted(path: Path, requests: int = ECHOES, *, replies: int = ECHOES, **end: Any) -> Run:
    """74 echoes, then Ctrl-C; the module says that it counted ``requests``."""
    echoes = times(np.random.default_rng(7), ECHOES)
    meta = ended([PID], **end) | {"netns": NETNS, "stats": stats(requests, replies)}
    return tracer.load(record(path, echoes, **meta))


def test_an_interrupted_recording_that_balances(tmp_path: Path) -> None:
    assert bad_lines(interrupted(tmp_path / "r")) == []


@pytest.mark.parametrize("counted", [0, 1, ECHOES - 1, ECHOES + 1, 2 * ECHOES])
def test_the_modules_counters_must_agree_after_an_interruption(
    tmp_path: Path, counted: int
) -> None:
    """Nobody was inside a call: zero, twice as many, or one off is an untrusted recording."""
    run = interrupted(tmp_path / "r", counted)
    assert not run.trusted
    assert bad_lines(run) == ["msgchan netlink requests", "msgchan requests by port id"]


@pytest.mark.parametrize("replies", [0, ECHOES - 1, ECHOES + 1, 2 * ECHOES])
def test_the_modules_replies_must_agree_after_an_interruption(tmp_path: Path, replies: int) -> None:
    assert bad_lines(interrupted(tmp_path / "r", replies=replies)) == ["msgchan netlink replies"]


@pytest.mark.parametrize(
    ("proto", "portid", "wrong"),
    [
        (30, PORT, []),
        (30, PORT + 1, ["msgchan requests by port id"]),
        (31, PORT, ["msgchan requests by port id"]),
    ],
)
def test_an_open_send_excuses_one_request_of_its_port(
    tmp_path: Path, proto: int, portid: int, wrong: list[str]
) -> None:
    calls = [opened("sendto"), opened("netlink_unicast", proto, portid)]
    calls.append(opened("msgchan_handler", 2))
    run = interrupted(tmp_path / "one", ECHOES + 1, open=calls)
    assert bad_lines(run) == wrong
    told = run.ledger.set_index("line").loc["msgchan netlink requests"]
    assert told["note"] == "up to 1 call cut off in the middle"
    two = bad_lines(interrupted(tmp_path / "two", ECHOES + 2, open=calls))
    assert two == ["msgchan netlink requests", "msgchan requests by port id"]


@pytest.mark.parametrize("channel", MODULE_CHANNELS)
def test_an_open_handler_excuses_one_request_of_its_channel(copy: Copy, channel: str) -> None:
    def one_more(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["counters"][channel]["requests"] += 1

    copy.meta(one_more)
    for code, name in enumerate(MODULE_CHANNELS):
        calls = [opened("msgchan_handler", code)]
        copy.meta(lambda meta, calls=calls: meta.update(ended([], open=calls)))
        wrong = [] if name == channel else [f"msgchan {channel} requests"]
        assert bad_lines(copy.load()) == wrong


def test_a_channel_that_the_module_does_not_have_excuses_nothing(copy: Copy) -> None:
    calls = [opened("msgchan_handler", len(MODULE_CHANNELS)), opened("msgchan_handler", -1)]
    copy.meta(lambda meta: meta.update(ended([], open=calls)))
    assert bad_lines(copy.load()) == []


@pytest.mark.parametrize(("others", "ok"), [(0, False), (1, True), (9, True)])
def test_a_reply_between_its_two_witnesses(copy: Copy, others: int, ok: bool) -> None:
    """It lay in the queue, and then its socket was traced no more: it counts as another's."""

    def change(meta: dict[str, Any]) -> None:
        after = meta["stats"]["after"]
        after["late"]["icmp"]["replies"] -= 1
        none = {name: {"foreign_replies": 0} for name in MODULE_CHANNELS}
        after["stopping"] = none
        after["late"]["icmp"]["foreign_replies"] = others

    copy.meta(lambda meta: meta.update(ended([])))
    copy.meta(change)
    assert bad_lines(copy.load()) == ([] if ok else ["msgchan icmp replies"])


def test_what_an_old_recording_called_cut_excuses_nothing(copy: Copy) -> None:
    """It was the number of all threads ever seen."""
    copy.meta(lambda meta: meta.update(cut=75))
    assert bad_lines(copy.load()) == []
    copy.meta(lambda meta: meta["stats"]["after"]["counters"]["netlink"].update(requests=0))
    assert bad_lines(copy.load()) == ["msgchan netlink requests"]


def last_of(sends: pd.DataFrame, tid: int, back: int = 1) -> list[int]:
    """Positions of the last ``back`` calls of a thread in the log."""
    (rows,) = np.nonzero(sends["tid"].to_numpy() == tid)
    order = np.argsort(sends["end_ns"].to_numpy()[rows], kind="stable")
    return [int(row) for row in rows[order][-back:]]


def without(*rows: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.drop(index=frame.index[list(rows)])


def test_the_last_call_of_a_thread_may_lack_its_entry_if_it_was_cut_off(
    copy: Copy, sends: pd.DataFrame
) -> None:
    (file,) = (copy.path / "sends").glob("*.parquet")
    whole = file.read_bytes()
    tids = [int(tid) for tid in sends["tid"].unique()]
    assert len(tids) >= 3
    for tid in tids:
        others = [other for other in tids if other != tid]
        file.write_bytes(whole)
        copy.rows("sends", without(*last_of(sends, tid)))
        copy.meta(lambda meta, cut=others: meta.update(ended(cut)))
        assert bad_lines(copy.load()) != [], tid
        copy.meta(lambda meta, cut=[tid]: meta.update(ended(cut)))
        assert bad_lines(copy.load()) == [], tid
        file.write_bytes(whole)
        copy.rows("sends", without(*last_of(sends, tid, 2)))
        assert bad_lines(copy.load()) != [], tid


def test_a_call_before_the_last_may_not_lack_its_entry(copy: Copy, sends: pd.DataFrame) -> None:
    (file,) = (copy.path / "sends").glob("*.parquet")
    whole = file.read_bytes()
    tids = [int(tid) for tid in sends["tid"].unique()]
    copy.meta(lambda meta: meta.update(ended(tids)))
    for tid in tids:
        file.write_bytes(whole)
        copy.rows("sends", without(last_of(sends, tid, 2)[0]))
        assert bad_lines(copy.load()) != [], tid


@pytest.mark.parametrize(("point", "code"), [("sendto", "netlink"), ("setsockopt", "setsockopt")])
def test_a_request_whose_system_call_was_open(copy: Copy, point: str, code: str) -> None:
    """What happened inside was recorded, the call itself was not: its entry finds no call."""
    run = tracer.load(ALL_CHANNELS)
    asked = run.exchanges[(run.exchanges["channel"] == code) & run.exchanges["logged"]]
    tid = int(asked["tid"].iloc[-1])
    calls = run.events[(run.events["point"] == point) & (run.events["tid"] == tid)]
    row, start = calls.index[-1], int(calls["start_ns"].iloc[-1])
    end = int(calls["end_ns"].iloc[-1])

    def drop(frame: pd.DataFrame) -> pd.DataFrame:
        later = (frame["tid"] == tid) & (frame["start_ns"] > end)
        return frame[~later & (frame.index != row)]

    def keep(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[(frame["tid"] != tid) | (frame["begin_ns"] <= start)]

    copy.rows("events", drop)
    copy.rows("sends", keep)
    stop = ended([tid], at=end - 1)
    copy.meta(lambda meta: meta.update(stop))
    assert "requests nobody logged" in bad_lines(copy.load())
    call = {"tid": tid, "tgid": tid, "point": point, "start_ns": start, "proto": 0, "portid": 0}
    stop["end"]["open"] = [call]
    copy.meta(lambda meta: meta.update(stop))
    assert not {"sends nobody saw", "requests nobody logged"} & set(bad_lines(copy.load()))


@pytest.mark.parametrize("kind", [SEND, CALL, RECEIVE])
def test_an_entry_under_way_when_tracing_stopped_may_tell_of_what_nobody_saw(
    copy: Copy, sends: pd.DataFrame, kind: int
) -> None:
    """One call of a thread that went on: of another thread, or before, it is a lost one."""
    last = sends[sends["kind"] == kind].iloc[[-1]]
    tid, stop = int(last["tid"].iloc[0]), int(sends["end_ns"].max()) + 1_000_000
    late = last.assign(begin_ns=stop - 500, end_ns=stop + 1500, seq=np.uint32(2**31))
    copy.rows("sends", lambda frame: pd.concat([frame, late]))
    for cut, at, ok in (
        ([tid], stop, True),
        ([tid], stop - 1400, True),
        ([tid], stop + 1400, True),
        ([tid], stop + 1600, False),
        ([tid], stop - 1600, False),
        ([tid + 1], stop, False),
        ([], stop, False),
    ):
        copy.meta(lambda meta, cut=cut, at=at: meta.update(ended(cut, at=at)))
        assert (bad_lines(copy.load()) == []) == ok, (cut, at)


@pytest.mark.parametrize("later", [True, False])
def test_who_was_seen_later_was_not_let_go(copy: Copy, sends: pd.DataFrame, later: bool) -> None:
    """A call that nobody saw is lost when a later one of its thread was recorded."""
    call = sends[(sends["kind"] == CALL) & (sends["channel"] == 2)].iloc[10]
    begin, end, tid = (int(call[name]) for name in ("begin_ns", "end_ns", "tid"))

    def drop(frame: pd.DataFrame) -> pd.DataFrame:
        of_call = frame["start_ns"].between(begin, end)
        return frame[(frame["tid"] != tid) | ~(of_call if later else frame["start_ns"] >= begin)]

    copy.rows("events", drop)
    copy.rows("sends", lambda frame: frame[later | (frame["begin_ns"] <= begin)])
    copy.meta(lambda meta: meta.update(ended([tid], at=begin)))
    assert ("sends nobody saw" in bad_lines(copy.load())) == later


def test_the_open_calls_are_told(copy: Copy) -> None:
    calls = [opened("recvfrom"), opened("recvfrom") | {"tid": 7}, opened("poll") | {"tid": 8}]
    copy.meta(lambda meta: meta.update(ended([], open=calls)))
    run = copy.load()
    assert run.trusted
    line = run.ledger.set_index("line").loc["calls open at the end"]
    assert (line["count"], line["note"]) == (3, "recvfrom 2, poll 1; of 3 threads")
    copy.meta(lambda meta: meta.update(ended([])))
    assert "calls open at the end" not in copy.load().ledger["line"].tolist()


def test_no_slack_is_none() -> None:
    assert Slack().log("netlink", "peer", "setsockopt", "getsockopt") == 0
