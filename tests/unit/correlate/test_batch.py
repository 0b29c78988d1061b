# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of one buffer that have the same sequence number, and whose answer is whose."""

from __future__ import annotations

import pytest
from event_builder import NLM_F_ACK, NLMSG_ERROR, Played, Scene

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
