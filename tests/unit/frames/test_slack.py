# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recording that ended in the middle may lack: what was open, and not one call more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from channels_builder import BUFFER, LISTENER
from recording_copies import Copy, bad_lines
from run_builder import NETNS, PID, PORT, reading, record, times

import tracer
from tracer.correlate.user import CALL, RECEIVE, SEND
from tracer.frames.slack import MODULE_CHANNELS, Slack, protocols
from tracer.run import Run

ECHOES = 74


def ended(cut: list[int], *, at: int = 2**62, **more: Any) -> dict[str, Any]:
    """``end`` of meta.json: tracing stopped at ``at`` (ns), ``cut`` are the threads cut off."""
    end = {"interrupted_ns": at, "stopping_ns": at, "stopped_ns": at + 1000, "open": []}
    return {"end": end | {"cut": cut} | more}


def opened(point: str, proto: int = 0, portid: int = 0, tid: int = PID) -> dict[str, Any]:
    who = {"tid": tid, "tgid": PID, "start_ns": 1}
    return who | {"point": point, "proto": proto, "portid": portid}


def stats(requests: int, replies: int = ECHOES, size: int = 64 * ECHOES) -> dict[str, Any]:
    """The module's two readings, of so many requests and replies on the builder's port."""
    before, after = reading(0), reading(0)
    counted = {"requests": requests, "replies": replies, "told": requests, "request_bytes": size}
    after["ports"] = {str(PORT): after["ports"][str(PORT)] | counted}
    after["counters"]["netlink"] = after["counters"]["netlink"] | counted
    return {"before": before, "after": after}


def interrupted(path: Path, requests: int = ECHOES, **how: Any) -> Run:
    """74 echoes, then Ctrl-C; the module says that it counted ``requests``.

    ``how`` are arguments of `stats`, and more of what ``end`` says.
    """
    echoes = times(np.random.default_rng(7), ECHOES)
    counted = {name: how.pop(name) for name in ("replies", "size") if name in how}
    meta = ended([PID], **how) | {"netns": NETNS, "stats": stats(requests, **counted)}
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


@pytest.mark.parametrize("size", [0, 64 * ECHOES - 1, 64 * ECHOES + 64])
def test_the_modules_bytes_must_agree_after_an_interruption(tmp_path: Path, size: int) -> None:
    run = interrupted(tmp_path / "r", size=size)
    assert bad_lines(run) == ["msgchan request bytes by port id"]


BY_PORT = [f"msgchan {what} by port id" for what in ("requests", "request bytes")]


@pytest.mark.parametrize(
    ("proto", "portid", "wrong"),
    [
        (30, PORT, []),
        (30, PORT + 1, [*BY_PORT, "msgchan netlink replies"]),
        (31, PORT, ["msgchan netlink requests", *BY_PORT, "msgchan netlink replies"]),
    ],
)
def test_an_open_send_excuses_one_request_of_its_port(
    tmp_path: Path, proto: int, portid: int, wrong: list[str]
) -> None:
    """The module may have counted it, its bytes, and its reply."""
    calls = [opened("netlink_unicast", proto, portid)]
    one = {"size": 64 * ECHOES + 100, "replies": ECHOES + 1, "open": calls}
    run = interrupted(tmp_path / "one", ECHOES + 1, **one)
    assert bad_lines(run) == wrong
    if not wrong:
        lines = run.ledger.set_index("line")
        note = lines.loc["msgchan netlink requests", "note"]
        assert note == "up to 1 call cut off in the middle"
        note = lines.loc["msgchan requests by port id", "note"]
        assert note == "1 of requests cut off in the middle"
    two = bad_lines(interrupted(tmp_path / "two", ECHOES + 2, **one))
    assert {"msgchan netlink requests", "msgchan requests by port id"} <= set(two)


def test_an_open_send_that_had_not_arrived_excuses_nothing(tmp_path: Path) -> None:
    calls = [opened("netlink_sendmsg")]
    run = interrupted(tmp_path / "one", ECHOES + 1, open=calls)
    assert bad_lines(run) == ["msgchan netlink requests", "msgchan requests by port id"]


#: For each channel of the module a call that is open in its handler.
HANDLING = {
    "setsockopt": opened("nf_setsockopt", 1),
    "getsockopt": opened("nf_getsockopt", 1),
    "netlink": opened("netlink_unicast", 30, PORT),
    "icmp": opened("netlink_unicast", 31, LISTENER),
}


@pytest.mark.parametrize("channel", MODULE_CHANNELS)
def test_an_open_handler_excuses_one_request_of_its_channel(copy: Copy, channel: str) -> None:
    def one_more(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["counters"][channel]["told"] += 1

    copy.meta(one_more)
    for name, call in HANDLING.items():
        copy.meta(lambda meta, call=call: meta.update(ended([], open=[call])))
        wrong = [] if name == channel else [f"msgchan {channel} requests"]
        assert copy.bad() == wrong


@pytest.mark.parametrize(
    "call",
    [opened("nf_setsockopt"), opened("setsockopt", 1), opened("netlink_recvmsg", 30, PORT)],
)
def test_an_open_call_that_is_not_in_the_module_excuses_nothing(
    copy: Copy, call: dict[str, Any]
) -> None:
    copy.meta(lambda meta: meta.update(ended([], open=[call])))
    assert copy.bad() == []
    for channel in MODULE_CHANNELS:
        copy.meta(lambda meta, at=channel: meta["stats"]["after"]["counters"][at].update(told=0))
    assert copy.bad() == [f"msgchan {channel} requests" for channel in MODULE_CHANNELS]


def test_the_protocols_are_those_that_the_module_was_loaded_with() -> None:
    assert protocols({}) == {"netlink": 30, "icmp": 31}
    parameters = {"netlink_proto": "17", "icmp_proto": "18"}
    meta = {"module": {"parameters": parameters}}
    assert protocols(meta) == {"netlink": 17, "icmp": 18}


@pytest.mark.parametrize(("others", "ok"), [(0, False), (1, True), (9, True)])
def test_a_notification_between_its_two_witnesses(copy: Copy, others: int, ok: bool) -> None:
    """It lay in the queue, and then its socket was traced no more: it counts as another's."""

    def change(meta: dict[str, Any]) -> None:
        after = meta["stats"]["after"]
        after["late"]["icmp"]["replies"] -= 1
        after["late"]["icmp"]["foreign_replies"] = others
        after["stopping"]["icmp"] = after["stopping"]["icmp"] | {"foreign_replies": 0}

    copy.meta(lambda meta: meta.update(ended([])))
    copy.meta(change)
    assert copy.bad() == ([] if ok else ["msgchan icmp replies"])


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
        copy.recorded("sends", without(*last_of(sends, tid)))
        copy.meta(lambda meta, cut=others: meta.update(ended(cut)))
        assert copy.bad() != [], tid
        copy.meta(lambda meta, cut=[tid]: meta.update(ended(cut)))
        assert copy.bad() == [], tid
        file.write_bytes(whole)
        copy.recorded("sends", without(*last_of(sends, tid, 2)))
        assert copy.bad() != [], tid


def test_a_call_before_the_last_may_not_lack_its_entry(copy: Copy, sends: pd.DataFrame) -> None:
    (file,) = (copy.path / "sends").glob("*.parquet")
    whole = file.read_bytes()
    tids = [int(tid) for tid in sends["tid"].unique()]
    copy.meta(lambda meta: meta.update(ended(tids)))
    for tid in tids:
        file.write_bytes(whole)
        copy.recorded("sends", without(last_of(sends, tid, 2)[0]))
        assert copy.bad() != [], tid


@pytest.mark.parametrize(
    "point", ["netlink_sendmsg", "netlink_unicast", "netlink_recvmsg", "nf_getsockopt"]
)
def test_who_began_another_call_has_logged_the_last_one(
    copy: Copy, sends: pd.DataFrame, point: str
) -> None:
    """The entry of a call is written before the next call begins."""
    copy.recorded("sends", without(*last_of(sends, BUFFER)))
    copy.meta(lambda meta: meta.update(ended([BUFFER])))
    assert copy.bad() == []
    call = opened(point, tid=BUFFER) | {"start_ns": 2**61}
    copy.meta(lambda meta: meta.update(ended([BUFFER], open=[call])))
    assert copy.bad() == ["reads nobody logged"]
    other = call | {"point": "poll"}  # is in no log
    copy.meta(lambda meta: meta.update(ended([BUFFER], open=[other])))
    assert copy.bad() == []


@pytest.mark.parametrize("kind", [SEND, CALL, RECEIVE])
def test_an_entry_under_way_when_tracing_stopped_may_tell_of_what_nobody_saw(
    copy: Copy, sends: pd.DataFrame, kind: int
) -> None:
    """One call of a thread that went on: of another thread, or before, it is a lost one."""
    last = sends[sends["kind"] == kind].iloc[[-1]]
    tid, stop = int(last["tid"].iloc[0]), int(sends["end_ns"].max()) + 1_000_000
    late = last.assign(begin_ns=stop - 500, end_ns=stop + 1500, seq=np.uint32(2**31))
    copy.recorded("sends", lambda frame: pd.concat([frame, late]))
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
        assert (copy.bad() == []) == ok, (cut, at)


@pytest.mark.parametrize("later", [True, False])
def test_who_was_seen_later_was_not_let_go(copy: Copy, sends: pd.DataFrame, later: bool) -> None:
    """A call that nobody saw is lost when a later one of its thread was recorded."""
    call = sends[(sends["kind"] == CALL) & (sends["channel"] == 2)].iloc[3]
    begin, end, tid = (int(call[name]) for name in ("begin_ns", "end_ns", "tid"))

    def drop(frame: pd.DataFrame) -> pd.DataFrame:
        of_call = frame["enter_ns"].between(begin, end)
        return frame[(frame["tid"] != tid) | ~(of_call if later else frame["enter_ns"] >= begin)]

    copy.recorded("opt_calls", drop)
    copy.recorded("sends", lambda frame: frame[later | (frame["begin_ns"] <= begin)])
    copy.meta(lambda meta: meta.update(ended([tid], at=begin)))
    assert ("sends nobody saw" in copy.bad()) == later


def test_the_open_calls_are_told(copy: Copy) -> None:
    point = "netlink_recvmsg"
    calls = [opened(point), opened(point, tid=7), opened("poll", tid=8)]
    copy.meta(lambda meta: meta.update(ended([], open=calls)))
    run = copy.load()
    assert run.trusted
    line = run.ledger.set_index("line").loc["calls open at the end"]
    assert (line["count"], line["note"]) == (3, "netlink_recvmsg 2, poll 1; of 3 threads")
    copy.meta(lambda meta: meta.update(ended([])))
    assert "calls open at the end" not in copy.load().ledger["line"].tolist()


def test_no_slack_is_none() -> None:
    assert Slack().log("netlink", "peer", "setsockopt", "getsockopt") == 0
