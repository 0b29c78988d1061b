# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that nobody asked for."""

from __future__ import annotations

import pandas as pd
from event_builder import Scene, round_trip, stages_of

ICMP = {"proto": 31, "type": 1}
#: An interrupt in the idle task of CPU 1, and in that of CPU 0.
IDLE = {"tid": 0, "tgid": 0, "cpu": 1}
IDLE_0 = {"tid": 0, "tgid": 0, "cpu": 0}


def notice(scene: Scene, at: int, skb: int, seq: int = 0, **who: int) -> None:
    unicast = {"direction": 2, "seq": seq, "skb": skb, **ICMP, **who}
    with scene.call("netlink_unicast", at, at + 30, **unicast):
        scene.queue(at + 10, seq, skb, **ICMP, **who)


def test_a_notification_from_an_interrupt_to_a_waiting_reader() -> None:
    scene = Scene()
    notice(scene, 100, 1, **IDLE)
    scene.log(1, 40, 200, proto=31, seq=0)
    scene.receive(50, (150, 160), 175, 1, **ICMP)
    exchange = scene.play(seed=1).only
    assert exchange["channel"] == "notify"
    assert stages_of(exchange) == {
        "reply": 10, "queue": 0, "wake": 40, "copy": 10, "recv_exit": 15, "decode": 25,
        "unexplained": 0,
    }  # fmt: skip
    assert (exchange["start_ns"], exchange["total_ns"]) == (100, 100)
    assert (exchange["name"], exchange["token"], exchange["errno"]) == ("msgchan icmp", 0, 0)
    assert (exchange["tgid"], exchange["copied_bytes"], exchange["logged"]) == (100, 32, True)
    assert (exchange["tid"], exchange["status"]) == (100, "ok")
    assert pd.isna(exchange["match"])
    assert (exchange["replies"], exchange["reply_bytes"], exchange["request_bytes"]) == (1, 32, 0)


def test_interrupts_in_the_idle_tasks_of_two_cpus_do_not_nest() -> None:
    scene = Scene()
    notice(scene, 100, 1, **IDLE)
    notice(scene, 105, 2, **IDLE_0)
    scene.receive(200, (210, 220), 230, 1, **ICMP)
    scene.receive(300, (310, 320), 330, 2, **ICMP)
    exchanges = scene.play(seed=1).exchanges
    assert exchanges["reply_ns"].tolist() == [10, 10]
    assert exchanges["queue_ns"].tolist() == [90, 185]
    assert exchanges["channel"].tolist() == ["notify", "notify"]


def test_a_notification_inside_the_readers_own_send_call_answers_nothing() -> None:
    scene = Scene()
    round_trip(scene)
    unicast = {"direction": 2, "seq": 0, "skb": 5, **ICMP}
    with scene.call("netlink_unicast", 62, 90, depth=3, **unicast):
        scene.span("__netlink_sendskb", 70, depth=4, seq=0, skb=5, **ICMP)
    exchanges = scene.play(seed=1).exchanges
    assert exchanges["channel"].tolist() == ["netlink", "notify"]
    assert exchanges["replies"].tolist() == [1, 1]


def test_a_broadcast_has_a_row_for_each_receiver() -> None:
    scene = Scene()
    with scene.call("netlink_broadcast", 100, 190, tid=55, portid=0, proto=0):
        scene.queue(110, 0, 1, tid=55, proto=0)
        scene.queue(130, 0, 2, tid=55, proto=0, portid=200)
    scene.receive(200, (210, 220), 230, 1, seq=0, proto=0)
    scene.receive(300, (310, 320), 330, 2, seq=0, proto=0, portid=200, tid=200, tgid=200)
    exchanges = scene.play(seed=1).exchanges.sort_values("portid")
    assert exchanges["reply_ns"].tolist() == [10, 30]
    assert exchanges["queue_ns"].tolist() == [90, 170]
    assert exchanges["tgid"].tolist() == [100, 200]


def test_an_echoed_broadcast_inside_a_request_does_not_answer_it() -> None:
    scene = Scene()
    unicast = scene.to_kernel(20, 190, seq=1, type=16, proto=0, flags=1)
    with scene.call("netlink_sendmsg", 10, 200, ret=64), unicast:
        scene.span("netlink_rcv_skb", 30, seq=1, proto=0)
        with scene.call("netlink_broadcast", 40, 90, portid=0, proto=0, seq=1):
            scene.queue(50, 1, 1, proto=0)
    scene.receive(300, (310, 320), 330, 1, seq=1, proto=0)
    exchanges = scene.play(seed=1).exchanges
    assert exchanges["channel"].tolist() == ["netlink", "notify"]
    assert exchanges["status"].tolist() == ["ok", "ok"]


def test_a_notification_that_is_never_read() -> None:
    scene = Scene()
    notice(scene, 100, 1, **IDLE)
    exchange = scene.play().only
    assert stages_of(exchange) == {"reply": 10, "unexplained": 0}
    assert exchange["status"] == "unanswered"
    assert pd.isna(exchange["tid"])


def test_a_notification_whose_sender_was_lost_starts_in_the_queue() -> None:
    scene = Scene()
    scene.queue(110, 0, 1, depth=1, **ICMP, **IDLE)
    scene.receive(200, (210, 220), 230, 1, **ICMP)
    exchange = scene.play().only
    assert exchange["start_ns"] == 110
    assert stages_of(exchange) == {
        "reply": 0, "queue": 90, "wake": 10, "copy": 10, "recv_exit": 10, "unexplained": 0,
    }  # fmt: skip
