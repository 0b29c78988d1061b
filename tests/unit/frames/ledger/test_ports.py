# SPDX-License-Identifier: GPL-2.0-or-later
"""What the module counted at each port id stands against the messages recorded there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pytest
from channels_builder import BUFFER
from recording_copies import Copy, middle, removed
from run_builder import PORT

from tracer.event import BY_UNICAST, RECORD_POINTS, S_HEADLESS, S_QUEUED, X_SENDING
from tracer.frames.ledger.line import Line
from tracer.frames.ledger.ports import port_lines
from tracer.frames.slack import Slack
from tracer.recording import SCHEMAS

REQUESTS, BYTES, REPLIES = (
    "msgchan requests by port id",
    "msgchan request bytes by port id",
    "msgchan netlink replies",
)


def counted(port: int, **by: int) -> Callable[[dict[str, Any]], None]:
    """The module counted so much more at a port while we recorded."""

    def change(meta: dict[str, Any]) -> None:
        table = meta["stats"]["after"]["ports"]
        found = table.setdefault(str(port), dict.fromkeys(table[str(PORT)], 0))
        for field, number in by.items():
            found[field] += number

    return change


def foreign(late: int) -> Callable[[dict[str, Any]], None]:
    """So many requests of threads that were not traced came in during the recording."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["late"]["netlink"]["foreign"] = late
        meta["stats"]["after"]["counters"]["netlink"]["told"] += late

    return change


def untold(number: int) -> Callable[[dict[str, Any]], None]:
    """So many requests of threads came in that no tracer had marked."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["counters"]["netlink"]["requests"] += number

    return change


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize(
    ("field", "name"), [("requests", REQUESTS), ("request_bytes", BYTES), ("replies", REPLIES)]
)
def test_the_module_counted_otherwise_for_one_port(
    copy: Copy, by: int, field: str, name: str
) -> None:
    copy.meta(counted(BUFFER, **{field: by}))
    assert copy.bad() == [name]
    seen = {"requests": 3, "request_bytes": 176, "replies": 3}[field]
    assert copy.line(name)["note"] == f"port {BUFFER}: {seen + by} counted, {seen} seen"


def test_a_further_message_whose_record_is_missing(copy: Copy) -> None:
    copy.recorded("extras", lambda frame: frame[frame["point"] != code("message")])
    assert {REQUESTS, BYTES} <= set(copy.bad())
    assert REPLIES not in copy.bad()


def code(point: str) -> int:
    return RECORD_POINTS.index(point)


def test_a_reply_whose_record_is_missing(copy: Copy) -> None:
    """Whether it has a record of its own, or stands in that of the send call."""

    def of_buffer(frame: pd.DataFrame) -> pd.Series:
        return (frame["point"] == code("queued")) & (frame["portid"] == BUFFER)

    copy.recorded("extras", lambda frame: removed(middle(of_buffer(frame)))(frame))
    assert REPLIES in copy.bad()
    assert copy.line(REPLIES)["note"] == f"port {BUFFER}: 3 counted, 2 seen"

    def unanswered(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(bits=frame["bits"].mask(frame["portid"] == PORT, 0).astype("uint16"))

    copy.recorded("send_calls", unanswered)
    assert copy.line(REPLIES)["note"].startswith(f"port {PORT}: 11 counted, 0 seen")


def test_a_message_whose_size_is_another(copy: Copy) -> None:
    def longer(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(size=frame["size"] + (frame["portid"] == BUFFER) * 4)

    copy.recorded("send_calls", longer)
    assert BYTES in copy.bad()
    assert copy.line(BYTES)["note"] == f"port {BUFFER}: 176 counted, 184 seen"


@pytest.mark.parametrize("others", [foreign, untold])
@pytest.mark.parametrize(
    ("requests", "size", "replies", "wrong"),
    [
        (0, 0, 0, []),
        (2, 100, 3, []),
        (2, 100, 4, []),
        (2, 100, 5, [REPLIES]),
        (2, 31, 4, [BYTES]),
        (5, 500, 0, []),
        (6, 600, 0, [REQUESTS, BYTES]),
        (0, 16, 0, [BYTES]),
        (0, 0, 1, [REPLIES]),
    ],
)
def test_a_port_that_was_busy_before_it_was_traced(
    copy: Copy,
    requests: int,
    size: int,
    replies: int,
    wrong: list[str],
    others: Callable[[int], Callable[[dict[str, Any]], None]],
) -> None:
    """As with -p: what it sent until then is among what no tracer, or another one, was told."""
    copy.meta(others(5))
    copy.meta(counted(PORT, requests=requests, request_bytes=size, replies=replies))
    assert copy.bad() == wrong
    if requests == 2:
        assert copy.line(REQUESTS)["note"] == "2 before they were traced"


def sent(*ports: int, proto: int = 30, netns: int = 1, bits: int = 0) -> pd.DataFrame:
    """Send calls at these ports, of messages of 20 bytes each."""
    frame = pd.DataFrame({"portid": list(ports)}).reindex(columns=SCHEMAS["send_calls"].names)
    return frame.fillna(0).astype("int64").assign(proto=proto, netns=netns, size=20, bits=bits)


def told(
    before: dict[str, Any],
    after: dict[str, Any],
    calls: pd.DataFrame,
    slack: Slack | None = None,
    **meta: Any,
) -> dict[str, Line]:
    """The lines, by name; a port's table holds requests, or several fields."""
    empty = SCHEMAS["extras"].empty_table().to_pandas()
    tables = [
        {"ports": {str(p): n if isinstance(n, dict) else fields(n) for p, n in table.items()}}
        for table in (before, after)
    ]
    rows = {"send_calls": calls, "extras": empty}
    found = port_lines({"netns": 1} | meta, *tables, rows, slack or Slack(), 0)
    return {line.line: line for line in found}


def fields(requests: int) -> dict[str, int]:
    return {"requests": requests, "request_bytes": 20 * requests}


def numbers(line: Line) -> tuple[int | None, int, bool]:
    return line.count, line.other, line.ok


def test_errors_of_two_ports_do_not_cancel_out() -> None:
    found = told({}, {5: 3, 6: 1}, sent(5, 5, 6, 6))
    assert numbers(found[REQUESTS]) == (4, 4, False)
    assert sorted(found[REQUESTS].note.split("; ")) == [
        "port 5: 3 counted, 2 seen",
        "port 6: 1 counted, 2 seen",
    ]
    assert numbers(found[BYTES]) == (80, 80, False)


def test_a_port_that_the_module_never_heard_of() -> None:
    found = told({}, {}, sent(7, 7))
    assert numbers(found[REQUESTS]) == (0, 2, False)
    assert found[REQUESTS].note == "port 7: 0 counted, 2 seen"


@pytest.mark.parametrize(("others", "ok"), [(2, False), (3, True), (300, True)])
def test_what_was_not_counted_by_port_is_made_up_for_as_far_as_it_goes(
    others: int, ok: bool
) -> None:
    """Port 5 had no right to ask; port 6 made room, and came back with a new account."""
    found = told({0: 7}, {0: 7 + others}, sent(5, 5, 6))
    assert numbers(found[REQUESTS]) == (min(others, 3), 3, ok)
    assert found[REQUESTS].note.startswith(f"{min(others, 3)} not counted by port id")
    assert ("port 6: 0 counted, 1 seen" in found[REQUESTS].note) != ok
    assert found[BYTES].ok == ok


def test_a_port_that_made_room_and_came_back() -> None:
    found = told({0: 0, 5: 100}, {0: 105, 5: 3}, sent(*[5] * 8))
    assert numbers(found[REQUESTS]) == (8, 8, True)
    assert numbers(found[BYTES]) == (160, 160, True)


def test_what_others_sent_without_a_right_does_not_hide_what_a_port_lacks_in_bytes() -> None:
    """All its requests were counted at the port, so all their bytes were."""
    short = {"requests": 1, "request_bytes": 19}
    found = told({}, {0: 9, 5: short}, sent(5))
    assert numbers(found[REQUESTS]) == (1, 1, True)
    assert numbers(found[BYTES]) == (19, 20, False)


def test_what_others_sent_without_a_right_does_not_hide_what_a_port_has_too_much() -> None:
    assert numbers(told({}, {0: 9, 5: 2}, sent(5))[REQUESTS]) == (2, 1, False)


def test_a_module_with_protocols_of_its_own() -> None:
    """What is on its protocol counts, what is on the usual one is another's."""
    meta = {"module": {"parameters": {"netlink_proto": 25}}}
    calls = pd.concat([sent(7, 7, proto=25), sent(7)])
    assert numbers(told({}, {7: 2}, calls, **meta)[REQUESTS]) == (2, 2, True)


def test_what_the_module_cannot_have_seen_does_not_count() -> None:
    """Sent in another namespace, without a message header, or without success."""
    elsewhere, headless = sent(7, netns=2), sent(7, bits=S_HEADLESS)
    calls = pd.concat([sent(7), elsewhere, headless, sent(7).assign(ret=-111)])
    assert numbers(told({}, {7: 1}, calls)[REQUESTS]) == (1, 1, True)


@pytest.mark.parametrize(
    ("replies", "ok"), [(0, False), (1, True), (2, True), (3, True), (5, True), (6, False)]
)
def test_an_open_request_may_have_been_answered_or_not(replies: int, ok: bool) -> None:
    """One reply was queued by its call, and the module may not have counted that yet."""
    calls = sent(5, 5, bits=S_QUEUED)
    slack = Slack(requests=Counter({(30, 5): 1}))
    after = {5: fields(3) | {"replies": replies}}
    assert told({}, after, calls, slack)[REPLIES].ok == ok


def test_messages_of_other_processes_are_no_replies() -> None:
    calls = pd.concat([sent(5, bits=S_QUEUED), sent(5, bits=S_QUEUED).assign(dst=9)])
    after = {5: fields(1) | {"replies": 1}}
    assert {name: line.ok for name, line in told({}, after, calls).items()} == dict.fromkeys(
        (REQUESTS, BYTES, REPLIES), True
    )


def test_a_port_that_only_received() -> None:
    queued = pd.DataFrame({"portid": [5]}).reindex(columns=SCHEMAS["extras"].names).fillna(0)
    queued = queued.astype("int64").assign(
        point=code("queued"), proto=30, netns=1, source=BY_UNICAST, bits=X_SENDING
    )
    rows = {"send_calls": sent(), "extras": queued}
    (line,) = port_lines({"netns": 1}, {"ports": {}}, {"ports": {}}, rows, Slack(), 0)
    assert (line.line, *numbers(line)) == (REPLIES, 0, 1, False)


def lines_of(found: Iterable[Line]) -> list[str]:
    return [line.line for line in found]


def test_nothing_at_all_has_no_line() -> None:
    empty = SCHEMAS["extras"].empty_table().to_pandas()
    rows = {"send_calls": sent(), "extras": empty}
    none: dict[str, Any] = {"ports": {}}
    assert lines_of(port_lines({"netns": 1}, none, none, rows, Slack(), 0)) == []
