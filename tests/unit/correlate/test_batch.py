# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of one buffer that have the same sequence number, and whose answer is whose."""

from __future__ import annotations

import pytest
from call_builder import Calls
from event_builder import NLM_F_ACK, NLMSG_ERROR, Played, Scene

from tracer.event import (
    BY_DUMP,
    S_SEVERAL,
    S_TRIED,
    X_BYSTANDER,
    X_LAST,
    X_RECEIVING,
    X_SENDING,
)

SEQ = 0


def buffer(*messages: int, answers: list[tuple[int, int]]) -> Played:
    """A buffer of messages with these flags, and their answers: type and errno of each."""
    scene = Scene()
    first, *rest = messages
    with (
        scene.call("netlink_sendmsg", 0, 1000),
        scene.to_kernel(10, 1000, SEQ, flags=first),
    ):
        for flags in rest:
            scene.further(10, SEQ, flags=flags, size=32)
        for number, (type_, error) in enumerate(answers):
            scene.queue(100 + number, SEQ, number + 1, type=type_, ret=-error)
    for number in range(len(answers)):
        at = 2000 + 100 * number
        scene.receive(at, (at + 10, at + 20), at + 30, number + 1, seq=SEQ)
    return scene.play()


def errors(*numbers: int) -> list[tuple[int, int]]:
    return [(NLMSG_ERROR, number) for number in numbers]


@pytest.mark.parametrize("count", [2, 40, 500])
def test_each_has_its_own_error(count: int) -> None:
    played = buffer(*[NLM_F_ACK] * count, answers=errors(*range(1, count + 1)))
    rows = played.exchanges.query("channel == 'netlink'")
    assert rows["errno"].tolist() == list(range(1, count + 1))
    assert rows["replies"].eq(1).all()
    assert rows["status"].eq("error").all()


def test_who_did_not_ask_is_not_acknowledged() -> None:
    played = buffer(0, NLM_F_ACK, 0, NLM_F_ACK, answers=errors(0, 7))
    rows = played.exchanges.query("channel == 'netlink'")
    assert rows["errno"].tolist() == [0, 0, 0, 7]
    assert rows["replies"].tolist() == [0, 1, 0, 1]


def test_an_answer_comes_before_the_acknowledgement_of_its_message() -> None:
    answers = [(16, 0), (NLMSG_ERROR, 0), (16, 0), (16, 0), (NLMSG_ERROR, 5)]
    rows = buffer(NLM_F_ACK, NLM_F_ACK, answers=answers).exchanges
    assert rows["replies"].tolist() == [2, 3]
    assert rows["errno"].tolist() == [0, 5]


def test_more_answers_than_messages_stay_with_the_last() -> None:
    rows = buffer(0, 0, answers=errors(1, 2, 3)).exchanges
    assert rows["replies"].tolist() == [1, 2]


def test_handlers_tell_before_the_order_does() -> None:
    """msgchan tells when it handles each message: the second handler's answer came first."""
    scene = Scene()
    with (
        scene.call("netlink_sendmsg", 0, 1000),
        scene.to_kernel(10, 1000, SEQ, flags=0),
    ):
        scene.further(10, SEQ, flags=0)
        scene.span("msgchan_handler", 20, 30, token=1, seq=SEQ, proto=2)
        scene.span("msgchan_handler", 40, 50, token=2, seq=SEQ, proto=2)
        scene.queue(60, SEQ, 1, type=0x20)
    rows = scene.play().exchanges
    assert rows["token"].tolist() == [1, 2]
    assert rows["replies"].tolist() == [0, 1]


def test_the_header_of_an_error_tells_whose_it_is() -> None:
    """Two messages of one number and different types: the error is the second one's."""
    calls = Calls()
    calls.extra("message", 20, seq=0, type=17, size=32, flags=NLM_F_ACK, bits=X_SENDING)
    calls.extra("queued", 40, seq=0, type=NLMSG_ERROR, size=52, ret=-5, skb=1, source=1,
                about_type=17, bits=X_SENDING)  # fmt: skip
    calls.send(10, 20, 60, 0, type=16, flags=NLM_F_ACK, bits=S_SEVERAL | S_TRIED)
    rows = calls.play().exchanges
    assert rows["errno"].tolist() == [0, 5]
    assert rows["match"].astype(object).tolist()[1] == "header"
    assert rows["buffer"].tolist() == [0, 0]


def test_an_answer_of_a_kernel_thread_is_found_by_its_number() -> None:
    calls = Calls()
    calls.send(10, 20, 60, 7, proto=9, flags=1)
    calls.extra("queued", 80, seq=7, proto=9, skb=1, tid=5, tgid=5, bits=X_BYSTANDER, source=1)
    calls.recv(100, (110, 120), 130, 1, proto=9)
    exchange = calls.play().only
    assert (exchange["channel"], exchange["match"], exchange["status"]) == ("netlink", "id", "ok")


def test_an_answer_that_the_queue_had_no_room_for_is_lost() -> None:
    calls = Calls()
    calls.extra("overrun", 50)
    calls.send(10, 20, 60, 7, flags=NLM_F_ACK, bits=S_TRIED)
    assert calls.play().only["status"] == "lost"


def test_a_dump_under_way_when_recording_began_is_partial() -> None:
    calls = Calls()
    last = X_RECEIVING | X_LAST
    calls.extra("queued", 20, 30, source=BY_DUMP, seq=9, skb=1, type=3, proto=0, bits=last)
    calls.recv(10, None, 40, -1, proto=0)
    calls.recv(50, (60, 70), 80, 1, proto=0)
    exchange = calls.play().only
    assert (exchange["status"], exchange["replies"], exchange["name"]) == ("partial", 1, "route")
    assert exchange.isna()[["msg_type", "request_bytes"]].all()
