# SPDX-License-Identifier: GPL-2.0-or-later
"""A request that got no answer is told; one whose answer was lost makes the recording untrusted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from channels_builder import BUFFER, DUMPER
from recording_copies import Copy
from run_builder import typed

from tracer.event import POINTS, RECORD_POINTS, S_QUEUED, S_TRIED
from tracer.frames.ledger.answers import answer_line
from tracer.frames.ledger.line import Line

NAME = "requests against answers"
ACK, DUMP, ERROR = 0x4, 0x300, 2
PLAN = {"plan": [{"point": point, "site": "fentry", "target": point} for point in POINTS]}


def send(seq: int, flags: int, **more: Any) -> dict[str, Any]:
    asked = {"portid": 5, "netns": 1, "seq": seq, "flags": flags, "unicast_ns": 100 * seq}
    return asked | {"ret": 20, "tid": 7} | more


def acked(seq: int, flags: int = ACK) -> dict[str, Any]:
    return send(seq, flags, bits=S_TRIED | S_QUEUED, reply_type=ERROR)


def extra(point: str, **more: Any) -> dict[str, Any]:
    return {"point": RECORD_POINTS.index(point), "portid": 5, "netns": 1, "tid": 7} | more


def got(seq: int, end: int = 10**6) -> dict[str, Any]:
    """An entry of the log: a message was received."""
    return {"portid": 5, "seq": seq, "kind": 1, "size": 36, "end_ns": end}


def told(
    sends: list[dict[str, Any]],
    extras: list[dict[str, Any]] | None = None,
    log: list[dict[str, Any]] | None = None,
    early: int = 0,
    meta: dict[str, Any] | None = None,
) -> Line | None:
    found = {
        "send_calls": typed("send_calls", pd.DataFrame(sends)),
        "extras": typed("extras", pd.DataFrame(extras or [])),
        "sends": typed("sends", pd.DataFrame(log or [])),
    }
    correlation: Any = SimpleNamespace(reads=SimpleNamespace(early=early))
    return next(iter(answer_line(meta or PLAN, found, correlation)), None)


def numbers(line: Line | None) -> tuple[int | None, int, bool, str]:
    assert line is not None
    return line.count, line.other, line.ok, line.note


def test_all_were_answered() -> None:
    assert numbers(told([acked(1), acked(2)])) == (2, 2, True, "")


def test_requests_that_ask_for_nothing_have_no_line() -> None:
    assert told([send(1, 0), send(2, 0x100), send(3, 0x200)]) is None
    assert told([]) is None


@pytest.mark.parametrize("flags", [ACK, DUMP, ACK | DUMP])
def test_a_request_without_an_answer_is_told(flags: int) -> None:
    line = told([acked(1), send(2, flags), acked(3)])
    assert numbers(line) == (3, 2, True, "1 without an answer")


def test_what_answers_a_dump() -> None:
    """Its first part, or an error; not the parts that its reader asks for later."""
    begun = send(1, DUMP, bits=S_TRIED | S_QUEUED | 0x20, reply_type=16)
    later = extra("queued", seq=2, source=3, bits=2, type=16)
    assert numbers(told([begun])) == (1, 1, True, "")
    assert numbers(told([acked(1, DUMP)])) == (1, 1, True, "")
    assert numbers(told([send(2, DUMP)], [later]))[:2] == (1, 0)
    further = extra("queued", seq=2, source=3, bits=1, type=16)
    assert numbers(told([send(2, DUMP)], [further]))[:2] == (1, 1)


def test_an_acknowledgement_is_not_another_message() -> None:
    reply = send(1, ACK, bits=S_TRIED | S_QUEUED, reply_type=0x20)
    assert numbers(told([reply])) == (1, 0, True, "1 without an answer")
    ack = extra("queued", seq=1, source=1, bits=1, type=ERROR)
    assert numbers(told([reply], [ack])) == (1, 1, True, "")


def test_answers_of_other_sockets_and_numbers_are_others() -> None:
    for other in ({"seq": 2}, {"portid": 6}, {"netns": 2}, {"proto": 9}):
        ack = extra("queued", source=1, type=ERROR) | {"seq": 1} | other
        assert numbers(told([send(1, ACK)], [ack]))[:2] == (1, 0), other


def test_requests_with_the_same_number_need_an_answer_each() -> None:
    assert numbers(told([acked(1), send(1, ACK), acked(2)]))[:2] == (3, 2)


def test_what_was_never_sent_is_not_answered() -> None:
    assert told([send(1, ACK, ret=-111)]) is None


def test_further_messages_of_a_buffer() -> None:
    """They share the result of their call; without a record of that, it was open at the end."""
    further = extra("message", seq=2, flags=ACK, start_ns=100, end_ns=100)
    assert numbers(told([acked(1)], [further])) == (2, 1, True, "1 without an answer")
    assert numbers(told([acked(1) | {"unicast_ns": 50}], [further]))[:2] == (1, 1)
    assert told([send(1, ACK, ret=-111)], [further]) is None


def test_a_full_receive_queue_is_named() -> None:
    lost = extra("overrun")
    line = told([send(1, ACK), send(2, ACK)], [lost])
    note = "2 without an answer; 1 of them may be those that a full receive queue dropped"
    assert numbers(line) == (2, 0, True, note)
    assert "queue" not in numbers(told([send(1, ACK)], [lost | {"portid": 6}]))[3]
    assert numbers(told([acked(1)], [lost])) == (1, 1, True, "")


def test_an_answer_that_the_program_received_was_lost() -> None:
    line = told([send(1, ACK), send(2, ACK)], log=[got(2)])
    note = "2 without an answer; the program received 1 of them"
    assert numbers(line) == (2, 0, False, note)


def test_other_messages_that_the_program_received_prove_nothing() -> None:
    for log in (
        [got(3)],
        [got(2) | {"portid": 6}],
        [got(2) | {"size": 0}],
        [got(2) | {"kind": 0}],
        [got(2, end=150)],  # before the request
    ):
        assert numbers(told([send(2, ACK)], log=log))[2], log
    assert numbers(told([send(2, ACK)], log=[got(2)], early=1))[2]
    reply = send(2, ACK, bits=S_TRIED | S_QUEUED, reply_type=0x20)
    assert numbers(told([reply], log=[got(2)]))[2]
    assert not numbers(told([reply], log=[got(2), got(2)]))[2]


@pytest.mark.parametrize("point", ["netlink_sendmsg", "__netlink_sendskb"])
def test_a_plan_that_does_not_see_answers_has_no_line(point: str) -> None:
    plan = [row | {"site": "absent"} if row["point"] == point else row for row in PLAN["plan"]]
    assert told([send(1, ACK)], meta={"plan": plan}) is None


def test_in_a_recording(copy: Copy) -> None:
    """The line fails for a lost acknowledgement that was received."""

    def silent(frame: pd.DataFrame) -> pd.DataFrame:
        here = (frame["portid"] == BUFFER) & (frame["flags"] != 0)
        return frame.assign(bits=frame["bits"].mask(here, frame["bits"] & (0xFFFF - S_QUEUED)))

    assert copy.line(NAME)["count"] == 2
    copy.recorded("send_calls", silent)
    assert NAME in copy.bad()
    assert copy.line(NAME)["note"] == "1 without an answer; the program received 1 of them"


def test_a_dump_that_nobody_logged_is_told(copy: Copy) -> None:
    def silent(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(bits=frame["bits"].mask(frame["portid"] == DUMPER, 0))

    copy.recorded("send_calls", silent)
    assert (copy.line(NAME)["ok"], copy.line(NAME)["difference"]) == (True, 1)


def test_a_flag_that_asks_for_more_is_told_by_this_line_only(copy: Copy) -> None:
    """No other line looks at flags of requests."""

    def asks(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(flags=frame["flags"].mask(frame["portid"] == 100, ACK))

    copy.recorded("send_calls", asks)
    assert copy.line(NAME)["difference"] == 11
