# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference matcher itself, on streams made by hand whose rows anybody can tell."""

from __future__ import annotations

import pytest
from handmade import Records, column, stages
from joined import (
    S_DUMP,
    S_HEADLESS,
    S_LAST,
    S_MODULE,
    S_SEVERAL,
    S_TRIED,
    X_HEADLESS,
    X_LAST,
    X_SENDING,
)

BY_UNICAST, BY_BROADCAST, BY_DUMP = 1, 2, 3
X_RECEIVING = 2
ACK, DUMP, ERROR = 4, 0x300, 2
PEEK = 2


def test_nothing() -> None:
    assert Records().match() == []


def test_a_round_trip_with_a_log() -> None:
    records = Records()
    records.log(0, 0, 150)
    records.send(10, 140, bits=S_MODULE, begin_ns=30, done_ns=60, queued_ns=80, reply_skb=5)
    records.log(1, 190, 260)
    records.recv(200, 5)
    (row,) = records.match()
    assert stages(row) == {
        "encode": 10, "send_entry": 10, "deliver": 10, "handler": 30, "reply": 20, "queue": 120,
        "wake": 10, "copy": 10, "recv_exit": 10, "decode": 30, "unexplained": 0,
    }  # fmt: skip
    assert (row["status"], row["match"], row["logged"], row["buffer"]) == ("ok", "nested", True, 0)
    assert (row["start_ns"], row["total_ns"]) == (0, 260)
    assert (row["send_return_ns"], row["first_reply_ns"]) == (60, 230)
    assert (row["replies"], row["reply_bytes"], row["copied_bytes"]) == (1, 32, 32)


def test_the_reader_may_be_done_before_the_sender() -> None:
    """Then its record is the first in the ring."""
    records = Records()
    records.recv(50, 5, tid=2, copy_ns=90, copied_ns=95, exit_ns=99)
    records.send(10, 140, queued_ns=80, reply_skb=5)
    (row,) = records.match()
    assert stages(row) == {"send_entry": 10, "handler": 60, "queue": 0, "wake": 10, "copy": 5,
                           "recv_exit": 4, "unexplained": 0}  # fmt: skip


def test_a_buffer_that_is_used_again() -> None:
    records = Records()
    for at in (0, 1000):
        records.send(at, at + 100, seq=at, queued_ns=at + 50, reply_skb=5)
        records.recv(at + 200, 5)
    assert column(records.match(), "total_ns") == [230, 230]


def test_a_buffer_is_of_one_socket() -> None:
    records = Records()
    records.send(0, 100, queued_ns=50, reply_skb=5)
    records.recv(200, 5, portid=8)
    (row,) = records.match()
    assert (row["status"], row["copied_bytes"]) == ("unanswered", 0)


def test_after_its_copy_a_message_is_gone() -> None:
    """The second copy is of a message whose queueing was lost."""
    records = Records()
    records.send(0, 100, queued_ns=50, reply_skb=5)
    records.recv(200, 5)
    records.recv(300, 5)
    (row,) = records.match()
    assert (row["total_ns"], row["copied_bytes"]) == (230, 32)


@pytest.mark.parametrize(("flags", "status"), [(0, "ok"), (ACK, "unanswered")])
def test_a_request_without_answer(flags: int, status: str) -> None:
    records = Records()
    records.send(0, 100, flags=flags, begin_ns=30)
    (row,) = records.match()
    assert stages(row) == {"send_entry": 10, "deliver": 20, "handler": 70, "unexplained": 0}
    assert (row["status"], row["match"]) == (status, None)


def test_the_modules_handler_is_followed_by_send_exit() -> None:
    records = Records()
    records.send(0, 100, bits=S_MODULE, begin_ns=30, done_ns=60, error=-22)
    (row,) = records.match()
    assert stages(row) == {
        "send_entry": 10, "deliver": 20, "handler": 30, "send_exit": 40, "unexplained": 0,
    }  # fmt: skip
    assert (row["status"], row["errno"]) == ("error", 22)


def buffer(records: Records, *messages: tuple[int, int], seq: int = 0) -> None:
    """Messages of these types and flags with one number, sent from 0 to 1000; called last."""
    for type_, flags in messages[1:]:
        records.extra("message", 10, seq=seq, type=type_, flags=flags, bits=X_SENDING)
    records.send(0, 1000, seq, S_SEVERAL | S_TRIED, type=messages[0][0], flags=messages[0][1])


def test_errors_tell_by_their_header_whose_they_are() -> None:
    records = Records()
    for at, about, error in ((100, 16, -1), (200, 18, -2)):
        records.extra("queued", at, type=ERROR, about_type=about, ret=error, bits=X_SENDING)
    buffer(records, (16, 0), (17, 0), (18, 0))
    rows = records.match()
    assert column(rows, "errno") == [1, 0, 2]
    assert column(rows, "match") == ["header", None, "header"]
    assert column(rows, "buffer") == [0, 0, 0]


def test_equal_messages_are_answered_in_their_order() -> None:
    records = Records()
    for number in range(40):
        records.extra("queued", 100 + number, type=ERROR, about_type=16, ret=-number,
                      skb=number, bits=X_SENDING)  # fmt: skip
    buffer(records, *[(16, ACK)] * 40)
    rows = sorted(records.match(), key=lambda row: row["errno"])
    assert column(rows, "errno") == list(range(40))
    assert column(rows, "match") == ["order"] * 40


def test_a_sink_in_a_buffer_is_complete_though_others_were_answered() -> None:
    records = Records()
    records.extra("queued", 100, type=16, seq=1, bits=X_SENDING)
    records.extra("message", 10, seq=2, bits=X_SENDING)
    records.send(0, 1000, 1, S_SEVERAL | S_TRIED)
    assert column(records.match(), "status") == ["unanswered", "ok"]


def test_handlers_tell_which_message_is_answered() -> None:
    records = Records()
    records.extra("message", 10, seq=0, bits=X_SENDING)
    records.extra("queued", 260, skb=3, bits=X_SENDING)
    records.extra("handled", 200, 250, bits=X_SENDING)
    records.send(0, 1000, 0, S_SEVERAL | S_MODULE, begin_ns=100, done_ns=150)
    rows = sorted(records.match(), key=lambda row: row["replies"])
    assert column(rows, "handler_ns") == [50, 50]
    assert column(rows, "deliver_ns") == [90, 190]
    assert column(rows, "match") == [None, "nested"]


def test_a_kernel_thread_answers_by_number() -> None:
    records = Records()
    records.send(0, 100, 5, begin_ns=30)
    records.extra("queued", 490, 500, seq=5, skb=2, source=BY_UNICAST, tid=900)
    records.recv(600, 2)
    (row,) = records.match()
    assert (row["match"], row["status"], row["total_ns"]) == ("id", "ok", 630)
    assert (row["handler_ns"], row["reply_ns"], row["send_return_ns"]) == (460, 10, None)


@pytest.mark.parametrize("fields", [{"seq": 0}, {"seq": 6}, {"source": BY_BROADCAST},
                                    {"proto": 9}, {"bits": X_HEADLESS, "seq": 0}])  # fmt: skip
def test_what_answers_nothing_is_a_notification(fields: dict[str, int]) -> None:
    records = Records()
    records.send(0, 100, 5 if fields.get("seq", 5) else 0)
    records.extra("queued", 490, 500, **({"seq": 5, "skb": 2, "source": BY_UNICAST} | fields))
    rows = records.match()
    assert column(rows, "channel") == ["netlink", "notify"]
    assert (rows[1]["start_ns"], rows[1]["total_ns"]) == (490, 10)
    assert rows[1]["seq"] == (None if fields.get("bits") else fields.get("seq", 5))


def dump(records: Records, at: int, seq: int = 5) -> None:
    """A dump of two parts: the second is made in the call that reads the first."""
    records.send(at, at + 100, seq, S_DUMP, begin_ns=at + 20, queued_ns=at + 50, reply_skb=1,
                 flags=DUMP)  # fmt: skip
    later(records, at + 200, seq)


def later(records: Records, at: int, seq: int = 5) -> None:
    """The part that is made while the first one is read, and its own receive call."""
    records.extra("queued", at + 22, at + 26, seq=seq, skb=2, type=3, source=BY_DUMP,
                  bits=X_RECEIVING | X_LAST, ret=-3)  # fmt: skip
    records.recv(at, 1)
    records.recv(at + 100, 2)


def test_a_dump_goes_on_in_receive_calls() -> None:
    records = Records()
    dump(records, 0)
    (row,) = records.match()
    assert stages(row) == {
        "send_entry": 10, "deliver": 10, "handler": 30 + 4, "queue": 150 + 74, "wake": 20,
        "copy": 20, "recv_exit": 2 + 10, "unexplained": 0,
    }  # fmt: skip
    assert (row["status"], row["errno"], row["replies"]) == ("error", 3, 2)
    assert row["match"] == "nested"


def test_a_dump_under_way_when_recording_began_is_partial() -> None:
    records = Records()
    later(records, 200)
    later(records, 1200)
    rows = records.match()
    assert column(rows, "status") == ["partial"] * 2
    assert column(rows, "start_ns") == [222, 1222]
    assert column(rows, "match") == ["id"] * 2
    assert column(rows, "request_bytes") == [None] * 2
    assert stages(rows[0])["handler"] == 4


def test_a_dump_that_is_over_gets_no_part_of_another() -> None:
    records = Records()
    dump(records, 0)
    later(records, 1200)
    assert column(records.match(), "replies") == [2, 1]


def test_a_dump_that_began_with_a_full_queue() -> None:
    records = Records()
    records.send(0, 100, 5, begin_ns=20, flags=DUMP)
    later(records, 200)
    (row,) = records.match()
    assert (row["replies"], row["status"], row["match"]) == (1, "error", "id")


def test_a_dump_in_one_part() -> None:
    records = Records()
    records.send(0, 100, 5, S_DUMP | S_LAST, queued_ns=50, reply_skb=1)
    records.recv(200, 1)
    (row,) = records.match()
    assert (row["status"], row["replies"]) == ("ok", 1)


def test_a_peek_takes_nothing() -> None:
    records = Records()
    records.send(0, 100, queued_ns=50, reply_skb=5)
    records.recv(200, 5, flags=PEEK)
    records.recv(300, 5)
    (row,) = records.match()
    assert (row["queue_ns"], row["wake_ns"], row["copied_bytes"]) == (250, 10, 32)


def test_who_waited_in_a_peek_has_waited() -> None:
    records = Records()
    records.recv(40, 5, flags=PEEK)
    records.send(0, 100, queued_ns=50, reply_skb=5)
    records.recv(300, 5)
    (row,) = records.match()
    assert (row["queue_ns"], row["wake_ns"]) == (0, 260)


@pytest.mark.parametrize(("other", "queue"), [(30, 250), (45, 0)])
def test_of_several_who_peek_the_first_one_waited(other: int, queue: int) -> None:
    records = Records()
    records.recv(40, 5, flags=PEEK, copy_ns=55)
    records.recv(other, 5, flags=PEEK, copy_ns=56, tid=2)
    records.send(0, 100, queued_ns=50, reply_skb=5)
    records.recv(300, 5)
    (row,) = records.match()
    assert row["queue_ns"] == queue


@pytest.mark.parametrize(("end", "queue"), [(60, 0), (49, 150)])
def test_who_polled_several_sockets_waited_for_each(end: int, queue: int) -> None:
    records = Records()
    for port in (7, 8):
        records.extra("poll", 20, end, portid=port)
    records.recv(100, 4, portid=8)
    records.send(0, 100, queued_ns=50, reply_skb=5)
    records.recv(200, 5)
    (row,) = records.match()
    assert row["queue_ns"] == queue


def test_who_has_read_since_the_poll_has_not_waited() -> None:
    records = Records()
    records.extra("poll", 20, 60)
    records.recv(100, 4)
    records.send(0, 100, queued_ns=50, reply_skb=5)
    records.recv(200, 5)
    (row,) = records.match()
    assert row["queue_ns"] == 150


def test_an_answer_that_does_not_fit_is_lost() -> None:
    records = Records()
    records.extra("overrun", 50)
    records.send(0, 100, 1, S_TRIED)
    records.extra("overrun", 250, portid=8)
    records.send(200, 300, 2, S_TRIED)
    records.extra("message", 410, seq=4, flags=ACK, bits=X_SENDING)
    records.extra("overrun", 450)
    records.send(400, 500, 3, S_TRIED | S_SEVERAL)
    rows = sorted(records.match(), key=lambda row: row["seq"])
    assert column(rows, "status") == ["lost", "unanswered", "ok", "lost"]


def test_messages_whose_send_call_is_missing() -> None:
    records = Records()
    records.extra("message", 10, seq=2, size=48, bits=X_SENDING)
    records.extra("queued", 50, seq=2, skb=1, bits=X_SENDING)
    records.send(200, 300, 3)
    rows = records.match()
    assert column(rows, "start_ns") == [10, 200]
    assert column(rows, "match") == ["id", None]
    assert column(rows, "buffer") == [None, 0]
    assert stages(rows[0]) == {"handler": 40, "unexplained": 0}


def test_a_message_to_another_process() -> None:
    records = Records()
    records.send(0, 100, queued_ns=50, reply_skb=5, dst=9)
    records.recv(200, 5, portid=9, tid=2, tgid=2)
    (row,) = records.match()
    assert stages(row) == {"send_entry": 10, "reply": 40, "queue": 150, "wake": 10, "copy": 10,
                           "recv_exit": 10, "unexplained": 0}  # fmt: skip
    assert (row["channel"], row["status"], row["tid"]) == ("peer", "ok", 1)


def test_without_a_header_there_is_no_type() -> None:
    records = Records()
    records.send(0, 100, 0, S_HEADLESS, type=0)
    records.extra("queued", 200, bits=X_HEADLESS)
    assert column(records.match(), "msg_type") == [None, None]
    assert column(records.match(), "seq") == [None, None]


def test_each_message_of_a_buffer_has_its_own_entry_in_the_log() -> None:
    records = Records()
    for begin in (-20, -10, -10):
        records.log(0, begin, 1100, seq=0)
    buffer(records, (16, 0), (17, 0))
    assert column(records.match(), "status") == ["unmatched_user", "ok", "ok"]


def test_only_the_sockets_of_the_log_must_be_in_it() -> None:
    records = Records()
    records.log(0, 5000, 5001, seq=9)
    records.log(2, 6000, 6001, channel=2, type=65)
    records.send(0, 100)
    records.send(200, 300, portid=8)
    records.option("getsockopt", 400)
    records.option("getsockopt", 600, optname=65)
    assert column(records.match(), "status") == [
        "unmatched_kernel", "ok", "ok", "unmatched_kernel", "unmatched_user", "unmatched_user",
    ]  # fmt: skip


def test_options() -> None:
    records = Records()
    records.option("setsockopt", 0, pf=10)
    records.extra("copy", 260, 270, size=8)
    records.option("getsockopt", 200, copy_ns=220, copied_ns=240, copied=16, bits=0x2C)
    records.option("getsockopt", 400, ret=-22, copy_ns=420, copied=16, bits=0x24)
    rows = records.match()
    assert column(rows, "level") == [41, 0, 0]
    assert column(rows, "reply_bytes") == [0, 24, 0]
    assert column(rows, "copied_bytes") == [0, 24, 16]
    assert column(rows, "errno") == [0, 0, 22]
    assert stages(rows[0]) == {"entry": 10, "handler": 80, "exit": 10, "unexplained": 0}
    assert stages(rows[1]) == {
        "entry": 10, "handler": 10 + 20, "copy": 20 + 10, "exit": 30, "unexplained": 0,
    }  # fmt: skip
    assert stages(rows[2]) == {"entry": 10, "handler": 10, "unexplained": 80}
