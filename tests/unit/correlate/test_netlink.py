# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of an answer: dumps in parts, peeks, waiting and lying, buffers used again."""

from __future__ import annotations

import pytest
from event_builder import MSG_PEEK, NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR, PORT, Scene, stages_of

from tracer.correlate.exchanges import Reads

ROUTE = {"proto": 0}
DONE = {"flags": 1}


def asks(scene: Scene, done: bool = False) -> None:
    """A dump request from 10 to 120, whose first part is queued at 80 in buffer 1."""
    unicast = scene.to_kernel(20, 110, seq=5, type=18, flags=NLM_F_DUMP | 1, **ROUTE)
    with scene.call("netlink_sendmsg", 10, 120), unicast:
        scene.span("netlink_rcv_skb", 30, seq=5, **ROUTE)
        with scene.call("netlink_dump", 40, 90, flags=int(done), **ROUTE):
            scene.queue(80, 5, 1, type=16, **ROUTE)


def test_a_dump_in_one_part() -> None:
    scene = Scene()
    asks(scene, done=True)
    scene.receive(200, (210, 220), 230, 1, seq=5, **ROUTE)
    exchange = scene.play(seed=1).only
    assert stages_of(exchange) == {
        "send_entry": 10, "deliver": 10, "handler": 50, "queue": 120, "wake": 10, "copy": 10,
        "recv_exit": 10, "unexplained": 0,
    }  # fmt: skip
    assert (exchange["status"], exchange["replies"], exchange["name"]) == ("ok", 1, "route 18")


@pytest.mark.parametrize("seed", [None, 7])
def test_later_parts_are_made_inside_receive_calls(seed: int | None) -> None:
    scene = Scene()
    asks(scene)
    with scene.call("netlink_recvmsg", 200, 300):
        scene.span("skb_copy_datagram_iter", 210, 220, seq=5, skb=1, size=32, **ROUTE)
        with scene.call("netlink_dump", 230, 280, flags=1, **ROUTE):
            scene.queue(270, 5, 2, type=NLMSG_DONE, **ROUTE)
    scene.receive(400, (415, 425), 440, 2, seq=5, **ROUTE)
    exchange = scene.play(seed).only
    # handler 30-80 and 230-270; queue 80-200 and 270-400; recv_exit 220-230 and 425-440.
    assert stages_of(exchange) == {
        "send_entry": 10, "deliver": 10, "handler": 50 + 40, "queue": 120 + 130, "wake": 10 + 15,
        "copy": 20, "recv_exit": 10 + 15, "unexplained": 0,
    }  # fmt: skip
    assert (exchange["status"], exchange["replies"]) == ("ok", 2)
    assert exchange["first_reply_ns"] == 290


def test_peeks_count_as_queue() -> None:
    scene = Scene()
    asks(scene, done=True)
    scene.receive(200, (210, 220), 230, 1, seq=5, flags=MSG_PEEK, **ROUTE)
    scene.receive(240, (250, 260), 270, 1, seq=5, **ROUTE)
    exchange = scene.play(seed=1).only
    assert exchange["queue_ns"] == 240 - 80
    assert (exchange["copy_ns"], exchange["recv_exit_ns"]) == (10, 10)
    assert exchange["copied_bytes"] == 32
    assert exchange["unexplained_ns"] == 0


def test_two_parts_queued_at_once_and_peeks_between() -> None:
    """The first receive makes part 3 while part 2 still lies there, as pyroute2 reads dumps."""
    scene = Scene()
    unicast = scene.to_kernel(20, 110, seq=5, type=18, flags=NLM_F_DUMP | 1, **ROUTE)
    with scene.call("netlink_sendmsg", 10, 120), unicast:
        scene.span("netlink_rcv_skb", 30, seq=5, **ROUTE)
        with scene.call("netlink_dump", 40, 60, **ROUTE):
            scene.queue(50, 5, 1, **ROUTE)
        with scene.call("netlink_dump", 70, 90, **ROUTE):
            scene.queue(80, 5, 2, **ROUTE)
    with scene.call("netlink_recvmsg", 200, 300):
        scene.span("skb_copy_datagram_iter", 210, 220, seq=5, skb=1, **ROUTE)
        with scene.call("netlink_dump", 230, 280, flags=1, **ROUTE):
            scene.queue(270, 5, 3, type=NLMSG_DONE, **ROUTE)
    scene.receive(350, (360, 370), 380, 2, seq=5, flags=MSG_PEEK, **ROUTE)
    scene.receive(400, (410, 420), 430, 2, seq=5, **ROUTE)
    scene.receive(500, (510, 520), 530, 3, seq=5, **ROUTE)
    exchange = scene.play(seed=2).only
    # queue: 50-200, 220-400 (with the peek and the program's time), 420-500.
    assert stages_of(exchange) == {
        "send_entry": 10, "deliver": 10, "handler": 20, "queue": 150 + 180 + 80, "wake": 30,
        "copy": 30, "recv_exit": 10, "unexplained": 0,
    }  # fmt: skip
    assert (exchange["status"], exchange["replies"]) == ("ok", 3)


def test_a_dump_cut_short_is_partial() -> None:
    scene = Scene()
    unicast = scene.to_kernel(20, 110, seq=5, type=18, flags=NLM_F_DUMP | 1, **ROUTE)
    with scene.call("netlink_sendmsg", 10, 120), unicast:
        scene.span("netlink_rcv_skb", 30, seq=5, **ROUTE)
        with scene.call("netlink_dump", 40, 60, **ROUTE):
            scene.queue(50, 5, 1, **ROUTE)
        with scene.call("netlink_dump", 70, 90, flags=1, **ROUTE):
            scene.queue(80, 5, 2, **ROUTE)
    scene.receive(200, (210, 220), 230, 1, seq=5, **ROUTE)
    exchange = scene.play().only
    assert exchange["status"] == "partial"


def test_a_dump_that_is_refused() -> None:
    scene = Scene()
    unicast = scene.to_kernel(20, 110, seq=5, type=18, flags=NLM_F_DUMP | 1, **ROUTE)
    with scene.call("netlink_sendmsg", 10, 120), unicast:
        scene.span("netlink_rcv_skb", 30, seq=5, **ROUTE)
        scene.reply(40, 50, 60, seq=5, skb=1, type=NLMSG_ERROR, ret=-16, **ROUTE)
    scene.receive(200, (210, 220), 230, 1, seq=5, **ROUTE)
    exchange = scene.play().only
    assert (exchange["status"], exchange["errno"], exchange["handler_ns"]) == ("error", 16, 10)


def test_two_dumps_with_one_number_on_one_socket() -> None:
    """A later part belongs to the latest dump that was asked for."""
    scene = Scene()
    for at in (0, 1000):
        unicast = scene.to_kernel(at + 20, at + 110, seq=5, flags=NLM_F_DUMP | 1, **ROUTE)
        with scene.call("netlink_sendmsg", at + 10, at + 120), unicast:
            scene.span("netlink_rcv_skb", at + 30, seq=5, **ROUTE)
            with scene.call("netlink_dump", at + 40, at + 90, **ROUTE):
                scene.queue(at + 80, 5, 1, **ROUTE)
        with scene.call("netlink_recvmsg", at + 200, at + 300):
            scene.span("skb_copy_datagram_iter", at + 210, at + 220, seq=5, skb=1, **ROUTE)
            with scene.call("netlink_dump", at + 230, at + 280, flags=1, **ROUTE):
                scene.queue(at + 270, 5, 2, **ROUTE)
        scene.receive(at + 400, (at + 410, at + 420), at + 430, 2, seq=5, **ROUTE)
    exchanges = scene.play(seed=4).exchanges
    assert exchanges["replies"].tolist() == [2, 2]
    assert exchanges["total_ns"].tolist() == [420, 420]
    assert exchanges["unexplained_ns"].tolist() == [0, 0]


def answered(scene: Scene) -> None:
    """A request from 10 to 200 whose answer is queued at 80."""
    with scene.call("netlink_sendmsg", 10, 200), scene.to_kernel(20, 190, seq=1):
        scene.span("msgchan_handler", 30, 60, seq=1)
        scene.reply(70, 80, 90, seq=1, skb=1)


@pytest.mark.parametrize(
    ("asked", "queue", "wake"),
    [(5, 0, 220), (79, 0, 220), (80, 0, 220), (81, 1, 219), (290, 210, 10)],
)
def test_who_waits_already_leaves_nothing_lying(asked: int, queue: int, wake: int) -> None:
    """The reader is another thread; its receive call begins at ``asked``."""
    scene = Scene()
    answered(scene)
    scene.receive(asked, (300, 310), 320, 1, seq=1, tid=101)
    exchange = scene.play(seed=1).only
    assert (exchange["queue_ns"], exchange["wake_ns"]) == (queue, wake)
    assert (exchange["recv_exit_ns"], exchange["unexplained_ns"]) == (10, 0)
    assert exchange["tid"] == 100


@pytest.mark.parametrize(
    ("poll", "queue"),
    [
        ((50, 95), 0),  # in poll when it came
        ((85, 95), 220),  # came before the poll
        ((50, 79), 220),  # the poll was over
    ],
)
def test_who_polls_is_waiting(poll: tuple[int, int], queue: int) -> None:
    scene = Scene()
    answered(scene)
    scene.span("poll", *poll, tid=101)
    scene.receive(300, (310, 320), 330, 1, seq=1, tid=101)
    exchange = scene.play(seed=1).only
    assert (exchange["queue_ns"], exchange["wake_ns"]) == (queue, 230 - queue)
    assert exchange["unexplained_ns"] == 0


def test_a_poll_on_another_socket_or_by_another_thread_is_none() -> None:
    scene = Scene()
    answered(scene)
    scene.span("poll", 50, 95, tid=101, portid=PORT + 1)
    scene.span("poll", 50, 95, tid=102)
    scene.receive(300, (310, 320), 330, 1, seq=1, tid=101)
    assert scene.play().only["queue_ns"] == 220


def test_a_poll_serves_only_the_next_receive() -> None:
    """Two answers come during one poll: the second one lies until it is asked for."""
    scene = Scene()
    with scene.call("netlink_sendmsg", 10, 400), scene.to_kernel(20, 390, seq=1):
        scene.further(20, seq=2)
        scene.span("msgchan_handler", 30, 60, seq=1)
        scene.reply(70, 80, 90, seq=1, skb=1)
        scene.span("msgchan_handler", 100, 110, seq=2)
        scene.reply(115, 120, 125, seq=2, skb=2)
    scene.span("poll", 5, 130, tid=101)
    scene.receive(200, (210, 220), 230, 1, seq=1, tid=101)
    scene.receive(300, (310, 320), 330, 2, seq=2, tid=101)
    assert scene.play(seed=1).exchanges["queue_ns"].tolist() == [0, 180]


def reads(scene: Scene) -> Reads:
    return scene.play().reads


def copied(scene: Scene, at: int, skb: int, flags: int = 0, **fields: int) -> None:
    """A receive call of 30 ns that returned data, with its copy."""
    who = {name: fields[name] for name in ("tid",) if name in fields}
    with scene.call("netlink_recvmsg", at, at + 30, ret=32, flags=flags, **who):
        scene.span("skb_copy_datagram_iter", at + 10, at + 20, skb=skb, size=32, **fields)


def test_a_buffer_is_its_message_only_from_queueing_to_the_copy_that_consumes_it() -> None:
    scene = Scene()
    scene.queue(100, 1, 9)
    scene.receive(110, (120, 130), 140, 9, seq=1, flags=MSG_PEEK)
    scene.receive(150, (160, 170), 180, 9, seq=1)
    scene.queue(200, 2, 9)
    scene.receive(210, (220, 230), 240, 9, seq=2)
    scene.receive(310, (320, 330), 340, 8, seq=3)
    rows = scene.play(seed=1).exchanges
    assert rows["seq"].tolist() == [1, 2]
    assert rows["queue_ns"].tolist() == [50, 10]
    assert rows["copied_bytes"].tolist() == [32, 32]


def test_reads_and_what_was_queued_balance() -> None:
    scene = Scene()
    for turn in range(3):
        scene.queue(100 * turn, turn, skb=1)  # the same buffer, used again
        copied(scene, 100 * turn + 10, 1, flags=MSG_PEEK)
        copied(scene, 100 * turn + 50, 1)
    scene.queue(900, 9, skb=2)
    assert reads(scene) == Reads(calls=6, filled=6, consumed=3, known=3, early=0, queued=4)


def test_a_receive_call_with_data_and_nothing_inside_lacks_its_copy() -> None:
    scene = Scene()
    scene.queue(0, 1, skb=1)
    scene.span("netlink_recvmsg", 10, 40, ret=32)
    scene.span("netlink_recvmsg", 110, 140, ret=-11)
    scene.span("netlink_recvmsg", 210, 240, ret=32, tid=101)
    found = reads(scene)
    assert (found.calls, found.filled, found.consumed) == (2, 0, 0)


def test_a_part_of_a_dump_follows_a_copy() -> None:
    scene = Scene()
    with scene.call("netlink_recvmsg", 10, 60, ret=32), scene.call("netlink_dump", 20, 50):
        scene.queue(30, 1, skb=1)
    assert (reads(scene).calls, reads(scene).filled) == (1, 0)


def test_an_interrupt_in_a_receive_call_is_no_copy() -> None:
    scene = Scene()
    with scene.call("netlink_recvmsg", 10, 60, ret=84):
        scene.queue(30, 1, skb=1)
    assert (reads(scene).calls, reads(scene).filled) == (1, 0)


def test_what_was_queued_before_the_socket_was_watched_may_be_read() -> None:
    scene = Scene()
    copied(scene, 10, 1)
    copied(scene, 50, 2)
    scene.queue(90, 3, skb=3)
    # Another thread asked before the first known message was read, and copies later.
    with scene.call("netlink_recvmsg", 95, 400, ret=32, tid=101):
        scene.span("skb_copy_datagram_iter", 300, 310, skb=4, size=32, tid=101)
    copied(scene, 100, 3)
    found = reads(scene)
    assert (found.consumed, found.known, found.early) == (4, 1, 3)


def test_what_comes_after_a_known_message_was_queued_before_our_eyes() -> None:
    scene = Scene()
    scene.queue(0, 1, skb=1)
    copied(scene, 10, 1)
    copied(scene, 50, 1)  # its __netlink_sendskb was lost; the buffer is an older message's
    copied(scene, 90, 2)  # another socket's order says nothing here
    copied(scene, 130, 3, portid=PORT + 1)
    found = reads(scene)
    assert (found.consumed, found.known, found.early) == (4, 1, 1)


def test_no_records_no_reads() -> None:
    assert reads(Scene()) == Reads(0, 0, 0, 0, 0, 0)
