# SPDX-License-Identifier: GPL-2.0-or-later
"""Records -> observations: what encloses what, whose they are, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from call_builder import Calls, Traffic, round_trip
from event_builder import NETNS, PID, PORT, PROTO, ROUND_TRIP, Played, Scene, stages_of
from event_builder import round_trip as observed

from tracer.correlate.observations import COLUMNS
from tracer.event import (
    BY_BROADCAST,
    BY_DUMP,
    BY_OTHER,
    BY_UNICAST,
    O_BEGUN,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    POINTS,
    S_DUMP,
    S_LAST,
    S_MODULE,
    S_TRIED,
    TO_KERNEL,
    TO_PEER,
    TO_USER,
    X_BYSTANDER,
    X_RECEIVING,
    X_SENDING,
)

Told = list[tuple[str, int, int, int]]


def told(calls: Calls) -> Told:
    """(point, depth, start, end) of every observation."""
    events = calls.observations()
    return list(
        zip(events["point"], events["depth"], events["start_ns"], events["end_ns"], strict=True)
    )


def nested(calls: Calls) -> list[tuple[dict[Any, Any] | None, dict[Any, Any]]]:
    """Every observation behind the last one of its thread that is one less deep and no older."""
    events = calls.observations()
    events["thread"] = np.where(events["tid"] == 0, -1 - events["cpu"].astype(int), events["tid"])
    found, last = [], {}
    for inner in events.sort_values(["start_ns", "depth"], kind="stable").to_dict("records"):
        outer = last.get((inner["thread"], inner["depth"] - 1)) if inner["depth"] != 8 else None
        found.append((outer, inner))
        last[inner["thread"], inner["depth"]] = inner
    return found


def test_a_round_trip_in_two_records_is_the_one_in_eight_observations() -> None:
    calls, scene = Calls(), Scene()
    round_trip(calls)
    observed(scene)
    here, there = calls.play(), scene.play()
    assert stages_of(here.only) == stages_of(there.only) == ROUND_TRIP
    same = [name for name in here.exchanges if name != "first_reply_ns"]
    pd.testing.assert_frame_equal(here.exchanges[same], there.exchanges[same])


def test_the_observations_of_a_round_trip() -> None:
    calls = Calls()
    round_trip(calls)
    assert told(calls) == [
        ("netlink_sendmsg", 0, 10, 220),
        ("netlink_unicast", 1, 30, 220),
        ("msgchan_handler", 2, 60, 160),
        ("netlink_unicast", 2, 160, 185),
        ("__netlink_sendskb", 3, 185, 185),
        ("netlink_recvmsg", 0, 245, 280),
        ("skb_copy_datagram_iter", 1, 260, 268),
    ]
    events = calls.observations()
    assert (events["netns"] == NETNS).all()
    assert (events["tid"] == PID).all()
    sent, message, handler, reply, queued, received, copy = events.to_dict("records")
    assert (sent["ret"], sent["size"], sent["portid"]) == (64, 64, PORT)
    assert (message["direction"], message["seq"], message["type"]) == (TO_KERNEL, 1, 0x10)
    assert (handler["token"], handler["proto"], handler["sock"]) == (7, 2, -1)
    assert (reply["direction"], reply["skb"], reply["size"]) == (TO_USER, 1, 32)
    assert (queued["skb"], queued["seq"], queued["type"]) == (1, 1, 0x20)
    assert (received["ret"], received["proto"]) == (32, PROTO)
    assert (copy["skb"], copy["size"], copy["sock"]) == (1, 32, sent["sock"])


def test_columns_and_types_also_of_nothing() -> None:
    for calls in (Calls(), Calls()):
        events = calls.observations()
        assert list(events) == list(COLUMNS)
        assert list(events["point"].cat.categories) == list(POINTS)
        assert {name: events[name].dtype for name in COLUMNS if name != "point"} == {
            name: pd.Series([], dtype=kind).dtype for name, kind in COLUMNS.items()
            if name != "point"
        }  # fmt: skip
        round_trip(calls)


@pytest.mark.parametrize("seed", range(20))
def test_random_calls_nest(seed: int) -> None:
    """Whatever lies inside a call has that call as its parent, whatever came between."""
    traffic = Traffic(seed)
    traffic.play()
    pairs = nested(traffic.calls)
    assert any(outer is not None for outer, _inner in pairs)
    for outer, inner in pairs:
        assert (outer is None) == (inner["depth"] in (0, 8))
        if outer is not None:
            assert outer["start_ns"] <= inner["start_ns"]
            assert outer["end_ns"] >= inner["end_ns"]


@pytest.mark.parametrize("seed", range(20))
def test_random_calls_become_the_exchanges_that_they_were(seed: int) -> None:
    traffic = Traffic(seed)
    traffic.play()
    exchanges = traffic.calls.play().exchanges
    left = dict(traffic.expected)
    for _number, exchange in exchanges.iterrows():
        key = (str(exchange["channel"]), int(exchange["tid"]), int(exchange["start_ns"]))
        expected = left.pop(key, None)
        if expected is None or "handlers" in expected:
            continue  # the second message of a buffer begins where the first does
        found = {s: ns for s, ns in stages_of(exchange).items() if ns and s != "unexplained"}
        assert found == expected, key
    assert left == {}


def test_the_ring_may_deliver_them_in_any_order() -> None:
    """Records of many CPUs: nothing but the order of the rows depends on it."""
    traffic = Traffic(1)
    traffic.play()
    there = traffic.calls.play().exchanges
    rows = traffic.calls.rows()
    mixed = {kind: frame.sample(frac=1, random_state=2) for kind, frame in rows.items()}
    traffic.calls.rows = lambda: mixed  # type: ignore[method-assign]
    pd.testing.assert_frame_equal(traffic.calls.play().exchanges, there)
    assert traffic.calls.observations()["start_ns"].size > 100


def test_another_handler_begins_at_netlink_rcv_skb() -> None:
    calls = Calls()
    calls.send(0, 5, 60, 1, begin=10, done=30, queued=40, bits=S_TRIED, proto=0)
    assert told(calls) == [
        ("netlink_sendmsg", 0, 0, 60),
        ("netlink_unicast", 1, 5, 60),
        ("netlink_rcv_skb", 2, 10, 10),
        ("netlink_unicast", 2, 30, 40),
        ("__netlink_sendskb", 3, 40, 40),
    ]


def test_an_answer_that_nothing_observed_sent() -> None:
    """It may have been a broadcast, or anything: no call is made up for it."""
    calls = Calls()
    calls.send(0, 5, 60, 1, begin=10, queued=40, proto=0)
    assert told(calls)[-1] == ("__netlink_sendskb", 2, 40, 40)
    exchange = calls.play().only
    assert stages_of(exchange)["handler"] == 30


def test_an_answer_that_was_not_queued() -> None:
    calls = Calls()
    calls.send(0, 5, 60, 1, begin=10, done=30, bits=S_TRIED | S_MODULE)
    assert told(calls)[-1] == ("netlink_unicast", 2, 30, 30)
    assert calls.play().only["status"] == "unanswered"


@pytest.mark.parametrize("last", [0, S_LAST])
def test_a_dump(last: int) -> None:
    calls = Calls()
    calls.send(0, 5, 60, 1, begin=10, queued=40, bits=S_DUMP | last, proto=0, reply_error=-5)
    assert told(calls)[2:] == [
        ("netlink_rcv_skb", 2, 10, 10),
        ("netlink_dump", 2, 10, 40),
        ("__netlink_sendskb", 3, 40, 40),
    ]
    events = calls.observations()
    assert events["flags"].tolist()[3] == (last != 0)
    assert events["ret"].tolist()[4] == -5


def test_a_message_to_another_process() -> None:
    calls = Calls()
    calls.send(0, 5, 60, 1, dst=200, queued=40, reply_skb=3)
    calls.recv(70, (80, 90), 95, 3, tid=200, tgid=200, portid=200)
    events = calls.observations()
    assert told(calls)[:3] == [
        ("netlink_sendmsg", 0, 0, 60),
        ("netlink_unicast", 1, 5, 60),
        ("__netlink_sendskb", 2, 40, 40),
    ]
    assert events["direction"].tolist()[1] == TO_PEER
    assert events["portid"].tolist() == [PORT, PORT, 200, 200, 200]
    sock = events["sock"].tolist()
    assert sock[0] == sock[1] != sock[2] == sock[3] == sock[4]
    exchange = calls.play().only
    assert (exchange["channel"], exchange["status"]) == ("peer", "ok")
    assert stages_of(exchange) == {
        "send_entry": 5, "reply": 35, "queue": 30, "wake": 10, "copy": 10, "recv_exit": 5,
        "unexplained": 0,
    }  # fmt: skip


def test_a_second_message_of_a_buffer_is_answered() -> None:
    calls = Calls()
    calls.extra("message", 5, seq=2, size=40, type=0x11, bits=X_SENDING)
    calls.extra("queued", 50, 55, seq=1, skb=1, source=BY_UNICAST, bits=X_SENDING)
    calls.extra("handled", 60, 70, seq=2, token=9, channel=2, bits=X_SENDING)
    calls.extra("queued", 71, 75, seq=2, skb=2, source=BY_UNICAST, bits=X_SENDING)
    calls.send(0, 5, 80, 1, begin=10, done=50, bits=S_MODULE, token=8, channel=2)
    first, second = (row for _n, row in calls.play().exchanges.iterrows())
    assert [first["seq"], second["seq"]] == [1, 2]
    assert [first["token"], second["token"]] == [8, 9]
    assert (first["handler_ns"], first["reply_ns"]) == (40, 5)
    assert (second["handler_ns"], second["reply_ns"]) == (10, 5)


def test_a_receive_call_that_fails_copies_nothing() -> None:
    calls = Calls()
    calls.recv(0, None, 9, 0, ret=-105)
    assert told(calls) == [("netlink_recvmsg", 0, 0, 9)]
    event = calls.observations().iloc[0]
    assert (event["ret"], event["size"], event["skb"]) == (-105, 0, -1)


@pytest.mark.parametrize("name", ["setsockopt", "getsockopt"])
def test_an_option_of_the_module(name: str) -> None:
    calls = Calls()
    calls.row("opt_calls", name, enter_ns=0, nf_ns=10, begin_ns=20, done_ns=40, copy_ns=30,
              left_ns=50, exit_ns=60, size=8, copied=6, optname=10129, ret=-14, error=-14, sock=3,
              token=7, channel=1, bits=O_BEGUN | O_DONE | O_COPY | O_LEFT | O_MODULE)  # fmt: skip
    assert told(calls) == [
        (name, 0, 0, 60),
        (f"nf_{name}", 1, 10, 50),
        ("msgchan_handler", 2, 20, 40),
        ("msgchan_copy", 2, 30, 30),
    ]
    events = calls.observations()
    assert events["type"].tolist() == [0, 10129, 10129, 0]
    assert events["ret"].tolist() == [-14, -14, -14, 0]
    assert events["size"].tolist() == [0, 8, 8, 6]
    assert events["token"].tolist() == [0, 0, 7, 7]
    assert events["sock"].tolist() == [-1, 3, -1, -1]


def test_an_option_of_somebody_else() -> None:
    """The nf_ function's return was missed, and a breakpoint saw where two copies begin."""
    calls = Calls()
    calls.extra("copy", 40, size=4)
    calls.row("opt_calls", "getsockopt", enter_ns=0, nf_ns=10, copy_ns=30, exit_ns=60, size=8,
              copied=6, optname=64, sock=0, bits=O_COPY)  # fmt: skip
    assert told(calls) == [
        ("copy_to_user", 2, 40, 40),
        ("getsockopt", 0, 0, 60),
        ("nf_getsockopt", 1, 10, 60),
        ("copy_to_user", 2, 30, 30),
    ]
    assert calls.play().only["copied_bytes"] == 10


def test_sockets_have_ids_of_their_own() -> None:
    calls = Calls()
    calls.recv(0, None, 1, 0, portid=1)
    calls.recv(2, None, 3, 0, portid=2)
    calls.recv(4, None, 5, 0, portid=1, proto=0)
    calls.recv(6, None, 7, 0, portid=1, netns=5)
    calls.recv(8, None, 9, 0, portid=1)
    calls.recv(10, None, 11, 0, portid=0)
    calls.row("opt_calls", "setsockopt", sock=0, enter_ns=12, exit_ns=13)
    events = calls.observations()
    socks = events["sock"].tolist()
    assert socks == [0, 1, 2, 3, 0, -1, -1, 4]


@pytest.mark.parametrize(
    ("source", "point"),
    [
        (BY_UNICAST, "netlink_unicast"),
        (BY_BROADCAST, "netlink_broadcast"),
        (BY_DUMP, "netlink_dump"),
    ],
)
@pytest.mark.parametrize(("bits", "depth"), [(X_SENDING, 2), (X_RECEIVING, 1), (X_BYSTANDER, 0)])
def test_what_queued_a_message(source: int, point: str, bits: int, depth: int) -> None:
    calls = Calls()
    calls.extra("queued", 10, 20, source=source, bits=bits, seq=4, skb=2, type=3)
    assert told(calls) == [(point, depth, 10, 20), ("__netlink_sendskb", depth + 1, 20, 20)]
    maker, queued = calls.observations().to_dict("records")
    assert (queued["seq"], queued["skb"], queued["type"], queued["portid"]) == (4, 2, 3, PORT)
    assert maker["portid"] == (0 if source == BY_BROADCAST else PORT)


def test_nothing_observed_queued_a_message() -> None:
    calls = Calls()
    calls.extra("queued", 10, 10, source=BY_OTHER, skb=2)
    assert told(calls) == [("__netlink_sendskb", 0, 10, 10)]


@pytest.mark.parametrize("call", ["send", "recv", "opt", "poll"])
@pytest.mark.parametrize("point", ["queued", "overrun"])
def test_an_interrupt_within_a_call_is_no_part_of_it(call: str, point: str) -> None:
    calls = Calls()
    calls.extra(point, 30, 31, source=BY_UNICAST, skb=9, seq=1)
    if call == "send":
        calls.send(10, 20, 90, 1, begin=40, done=50, queued=60, bits=S_MODULE, reply_skb=1)
    elif call == "recv":
        calls.recv(10, (40, 50), 90, 1)
    elif call == "opt":
        calls.row("opt_calls", "setsockopt", enter_ns=10, nf_ns=20, left_ns=80, exit_ns=90,
                  bits=O_LEFT)  # fmt: skip
    else:
        calls.extra("poll", 10, 90)
    found = Counter(depth for _point, depth, start, _end in told(calls) if start in (30, 31))
    assert found == ({8: 1, 9: 1} if point == "queued" else {8: 1})
    assert all(outer is not None for outer, inner in nested(calls) if 0 < inner["depth"] < 8)


def test_an_interrupt_in_another_thread_stands_by_itself() -> None:
    calls = Calls()
    calls.extra("queued", 30, 31, source=BY_UNICAST, skb=9, tid=7)
    calls.extra("queued", 95, 96, source=BY_UNICAST, skb=9)
    calls.recv(10, (40, 50), 90, 1)
    assert [depth for _point, depth, start, _end in told(calls) if start in (30, 95)] == [0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_of_a_recording(seed: int) -> None:
    """Rows that are lost cost what they told, and nothing raises."""
    traffic = Traffic(seed)
    traffic.play()
    rows = traffic.calls.rows()
    for kind in rows:
        less = rows | {kind: rows[kind].iloc[::2]}
        traffic.calls.rows = lambda less=less: less  # type: ignore[method-assign]
        played: Played = traffic.calls.play()
        assert len(played.exchanges)
