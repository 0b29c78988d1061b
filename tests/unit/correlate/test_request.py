# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and their answers: every stage of exchanges made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from event_builder import NLM_F_ACK, NLMSG_ERROR, PID, ROUND_TRIP, Scene, round_trip, stages_of

from tracer.event import TO_PEER


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_request_and_reply(seed: int | None) -> None:
    scene = Scene()
    round_trip(scene)
    exchange = scene.play(seed).only
    assert stages_of(exchange) == ROUND_TRIP
    assert exchange["total_ns"] == 300
    assert exchange["send_return_ns"] == 35
    assert exchange["first_reply_ns"] == 280
    assert (exchange["channel"], exchange["status"], exchange["match"]) == (
        "netlink",
        "ok",
        "nested",
    )
    assert (exchange["replies"], exchange["request_bytes"]) == (1, 64)
    assert (exchange["reply_bytes"], exchange["copied_bytes"]) == (32, 32)
    assert (exchange["token"], exchange["name"]) == (7, "msgchan echo")


def test_each_reply_of_many_finds_its_own_request() -> None:
    scene = Scene()
    for number in range(23):
        # Two buffers by turns: every address is used again and again.
        round_trip(scene, 1000 * number, seq=number + 1, skb=number % 2, token=number)
    exchanges = scene.play(seed=5).exchanges
    assert len(exchanges) == 23
    for number, exchange in exchanges.iterrows():
        assert stages_of(exchange) == ROUND_TRIP
        assert (exchange["seq"], exchange["token"]) == (number + 1, number)


def test_two_sockets_use_the_same_sequence_number_at_once() -> None:
    scene = Scene()
    round_trip(scene, 0, seq=1, skb=1, token=1)
    round_trip(scene, 5, seq=1, skb=2, token=2, tid=101, portid=777)
    exchanges = scene.play(seed=3).exchanges
    assert [stages_of(row) for _n, row in exchanges.iterrows()] == [ROUND_TRIP, ROUND_TRIP]
    assert exchanges["portid"].tolist() == [PID, 777]
    assert exchanges["token"].tolist() == [1, 2]


def test_a_token_that_disagrees_shows() -> None:
    scene = Scene()
    round_trip(scene)
    frames = scene.frames()
    frames["sends"].loc[frames["sends"]["kind"] == 0, "token"] = 8
    scene.frames = lambda seed=None: frames  # type: ignore[method-assign]
    assert scene.play().disagreeing == 1


def test_two_requests_in_one_buffer() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 400), scene.to_kernel(20, 390, seq=1):
        scene.further(20, seq=2)
        scene.span("msgchan_handler", 30, 60, seq=1, token=1)
        scene.reply(70, 80, 90, seq=1, skb=1)
        scene.span("msgchan_handler", 100, 180, seq=2, token=2)
        scene.reply(190, 210, 220, seq=2, skb=2)
    scene.receive(500, (510, 520), 530, 1, seq=1)
    scene.receive(540, (550, 560), 570, 2, seq=2)
    first, second = (row for _n, row in scene.play(seed=1).exchanges.iterrows())
    assert stages_of(first) == {
        "send_entry": 10, "deliver": 10, "handler": 30, "reply": 20, "queue": 420, "wake": 10,
        "copy": 10, "recv_exit": 10, "unexplained": 0,
    }  # fmt: skip
    assert stages_of(second) == {
        "send_entry": 10, "deliver": 80, "handler": 80, "reply": 30, "queue": 330, "wake": 10,
        "copy": 10, "recv_exit": 10, "unexplained": 0,
    }  # fmt: skip
    assert (first["token"], second["token"]) == (1, 2)


def test_equal_numbers_in_one_buffer_are_taken_in_turn() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 400), scene.to_kernel(20, 390, seq=1):
        scene.further(20, seq=1)
        scene.span("msgchan_handler", 30, 60, seq=1, token=1)
        scene.reply(70, 80, 90, seq=1, skb=1)
        scene.span("msgchan_handler", 100, 180, seq=1, token=2)
        scene.reply(190, 210, 220, seq=1, skb=2)
    exchanges = scene.play(seed=1).exchanges
    assert exchanges["token"].tolist() == [1, 2]
    assert exchanges["handler_ns"].tolist() == [30, 80]
    assert exchanges["replies"].tolist() == [1, 1]


def test_an_acknowledgement_completes_what_asked_for_one() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1, flags=NLM_F_ACK):
        scene.span("msgchan_handler", 30, 60, seq=1)
        scene.reply(70, 80, 90, seq=1, skb=1)
        scene.reply(100, 110, 120, seq=1, skb=2, type=NLMSG_ERROR)
    scene.receive(300, (310, 320), 330, 1, seq=1)
    scene.receive(400, (410, 420), 450, 2, seq=1)
    exchange = scene.play(seed=1).only
    assert stages_of(exchange) == {
        "send_entry": 10, "deliver": 10, "handler": 30, "reply": 20, "queue": 220 + 80,
        "wake": 20, "copy": 20, "recv_exit": 30, "unexplained": 0,
    }  # fmt: skip
    assert (exchange["status"], exchange["replies"], exchange["errno"]) == ("ok", 2, 0)
    assert exchange["first_reply_ns"] == 320


def test_an_acknowledgement_that_is_never_read_leaves_a_part() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1, flags=NLM_F_ACK):
        scene.span("msgchan_handler", 30, 60, seq=1)
        scene.reply(70, 80, 90, seq=1, skb=1)
        scene.reply(100, 110, 120, seq=1, skb=2, type=NLMSG_ERROR)
    scene.receive(300, (310, 320), 330, 1, seq=1)
    exchange = scene.play().only
    assert exchange["status"] == "partial"
    assert exchange["copy_ns"] == 10


def test_an_error_that_the_kernel_reports() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.reply(70, 80, 90, seq=1, skb=1, type=NLMSG_ERROR, ret=-22)
    scene.receive(300, (310, 320), 330, 1, seq=1)
    exchange = scene.play().only
    assert (exchange["status"], exchange["errno"]) == ("error", 22)


def test_a_sink_ends_with_its_send_call() -> None:
    scene = Scene()
    scene.log(0, 0, 210, seq=1)
    with scene.call("netlink_sendmsg", 10, 200, ret=64), scene.to_kernel(20, 190, seq=1, type=0x11):
        scene.span("msgchan_handler", 30, 60, seq=1)
    exchange = scene.play().only
    assert stages_of(exchange) == {
        "encode": 10, "send_entry": 10, "deliver": 10, "handler": 30, "send_exit": 140,
        "unexplained": 0,
    }  # fmt: skip
    assert (exchange["status"], exchange["replies"]) == ("ok", 0)
    assert pd.isna(exchange["send_return_ns"])


def test_a_bit_that_means_dump_only_to_get_requests() -> None:
    """NLM_F_EXCL of a NEW request has the value of NLM_F_MATCH: it asks for no dump."""
    scene = Scene()
    unicast = scene.to_kernel(20, 190, seq=1, type=16, proto=0, flags=0x601)
    with scene.call("netlink_sendmsg", 10, 200, ret=64), unicast:
        scene.span("netlink_rcv_skb", 30, seq=1, proto=0)
    assert scene.play().only["status"] == "ok"


def test_a_reply_that_is_never_read() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.span("msgchan_handler", 30, 60, seq=1)
        scene.reply(70, 80, 90, seq=1, skb=1)
    exchange = scene.play().only
    assert stages_of(exchange) == {
        "send_entry": 10, "deliver": 10, "handler": 30, "reply": 20, "unexplained": 0,
    }  # fmt: skip
    assert (exchange["status"], exchange["replies"]) == ("unanswered", 1)


def test_a_reply_that_did_not_reach_the_queue() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.span("msgchan_handler", 30, 60, seq=1)
        scene.span("netlink_unicast", 70, 90, seq=1, skb=1, direction=2, ret=-11)
    assert scene.play().only["status"] == "unanswered"


def test_what_nothing_is_seen_of_was_handled_in_the_call_that_delivers_it() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.reply(70, 80, 90, seq=1, skb=1)
    scene.receive(300, (310, 320), 330, 1, seq=1)
    assert stages_of(scene.play().only) == {
        "send_entry": 10, "handler": 50, "reply": 10, "queue": 220, "wake": 10, "copy": 10,
        "recv_exit": 10, "unexplained": 0,
    }  # fmt: skip


def peer_message(scene: Scene, send_end: int) -> None:
    """From the program to process 200 (port 200), which reads until 320."""
    receiver = {"tid": 200, "tgid": 200}
    with (
        scene.call("netlink_sendmsg", 10, send_end),
        scene.call("netlink_unicast", 20, send_end - 5, seq=1, skb=1, size=48, direction=TO_PEER),
    ):
        scene.queue(40, 1, 1, portid=200)
    scene.receive(100, (110, 130), 160, 1, seq=1, portid=200, **receiver)


def test_a_message_to_a_peer() -> None:
    scene = Scene()
    peer_message(scene, send_end=60)
    exchange = scene.play().only
    assert exchange["channel"] == "peer"
    assert stages_of(exchange) == {
        "send_entry": 10, "reply": 20, "queue": 60, "wake": 10, "copy": 20, "recv_exit": 30,
        "unexplained": 0,
    }  # fmt: skip
    assert (exchange["status"], exchange["tid"], exchange["request_bytes"]) == ("ok", PID, 48)
    assert exchange["total_ns"] == 150


def test_a_peer_message_ends_with_its_receive() -> None:
    """The send call's own return is no part of the way: the reader may be done before it."""
    scene = Scene()
    peer_message(scene, send_end=900)
    exchange = scene.play().only
    assert exchange["total_ns"] == 150
    assert exchange["unexplained_ns"] == 0


def test_a_peer_message_nobody_reads() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 60):
        scene.span("netlink_unicast", 20, 55, seq=1, skb=1, direction=TO_PEER, ret=-111)
    frames = scene.frames()
    frames["send_calls"]["ret"] = np.int32(-111)
    scene.frames = lambda seed=None: frames  # type: ignore[method-assign]
    exchange = scene.play().only
    assert (exchange["status"], exchange["errno"]) == ("error", 111)


def test_a_peer_message_whose_reader_alone_keeps_a_log() -> None:
    scene = Scene()
    peer_message(scene, send_end=60)
    scene.log(1, 90, 200, seq=1, portid=200, tid=200, tgid=200)
    exchange = scene.play().only
    assert (exchange["decode_ns"], exchange["total_ns"]) == (40, 190)
    assert (exchange["logged"], exchange["match"]) == (True, "nested")
    assert (exchange["replies"], exchange["copied_bytes"]) == (1, 32)


def test_a_peer_message_that_lies_unread_ends_in_the_queue() -> None:
    scene = Scene()
    unicast = scene.call("netlink_unicast", 20, 90, seq=1, skb=1, direction=TO_PEER)
    with scene.call("netlink_sendmsg", 10, 100), unicast:
        scene.queue(40, 1, 1, portid=200)
    exchange = scene.play().only
    assert (exchange["status"], exchange["total_ns"]) == ("unanswered", 30)
    assert exchange["unexplained_ns"] == 0


def test_what_comes_after_the_first_answer_is_counted_but_no_part_of_the_way() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.span("msgchan_handler", 30, 60, seq=1)
        scene.reply(70, 80, 90, seq=1, skb=1)
        scene.reply(100, 110, 120, seq=1, skb=2)
    scene.receive(300, (310, 320), 330, 1, seq=1)
    scene.receive(400, (410, 420), 450, 2, seq=1)
    exchange = scene.play(seed=1).only
    assert (exchange["total_ns"], exchange["replies"], exchange["copied_bytes"]) == (320, 2, 64)
    assert (exchange["copy_ns"], exchange["status"]) == (10, "ok")


def request(scene: Scene, *, ret: int = 64, **fields: int) -> None:
    """A request that the handler sees and nobody answers."""
    with scene.call("netlink_sendmsg", 10, 200, ret=ret), scene.to_kernel(20, 190, seq=1, **fields):
        scene.span("netlink_rcv_skb", 30, seq=1)


def test_what_expects_no_answer_ends_with_its_send_call() -> None:
    scene = Scene()
    request(scene)
    exchange = scene.play().only
    assert (exchange["status"], exchange["errno"]) == ("ok", 0)
    assert (exchange["total_ns"], exchange["unexplained_ns"]) == (190, 0)
    assert exchange["handler_ns"] == 170


def test_an_acknowledgement_that_never_comes() -> None:
    scene = Scene()
    request(scene, flags=NLM_F_ACK)
    assert scene.play().only["status"] == "unanswered"


def test_a_send_call_that_fails_is_an_error() -> None:
    scene = Scene()
    request(scene, ret=-105)
    exchange = scene.play().only
    assert (exchange["status"], exchange["errno"]) == ("error", 105)


def test_what_a_handler_returns_is_the_error_of_a_request_without_answer() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200, ret=64), scene.to_kernel(20, 190, seq=1):
        scene.span("msgchan_handler", 30, 60, seq=1, ret=-22)
    exchange = scene.play().only
    assert (exchange["status"], exchange["errno"]) == ("error", 22)


def test_a_message_to_another_socket_is_no_answer() -> None:
    """What a handler sends to a listener leaves a request that expects nothing complete."""
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200, ret=64), scene.to_kernel(20, 190, seq=1):
        scene.span("netlink_unicast", 70, 90, seq=1, skb=1, direction=2, portid=777)
    assert scene.play().only["status"] == "ok"


def test_an_answer_whose_unicast_was_lost_was_expected() -> None:
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.queue(80, 1, 1)
    assert scene.play().only["status"] == "unanswered"


def test_the_token_of_a_request_without_handler_is_the_logs() -> None:
    scene = Scene()
    scene.log(0, 0, 210, seq=1, token=7)
    request(scene)
    exchange = scene.play().only
    assert (exchange["token"], exchange["logged"]) == (7, True)


def test_the_token_of_a_request_that_nobody_knows_is_0() -> None:
    scene = Scene()
    request(scene)
    exchange = scene.play().only
    assert (exchange["token"], exchange["logged"]) == (0, False)
    assert pd.isna(exchange["match"])


def test_a_request_of_which_only_the_receive_was_logged() -> None:
    scene = Scene()
    scene.log(1, 290, 350, seq=1)
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.reply(70, 80, 90, seq=1, skb=1)
    scene.receive(300, (310, 320), 330, 1, seq=1)
    exchange = scene.play().only
    assert (exchange["logged"], exchange["decode_ns"]) == (True, 20)
    assert exchange["status"] == "unmatched_kernel"
