# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger of a real recording balances, and can fail: each kind of damage has its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from properties import check
from recording_copies import ALL_CHANNELS, Change, Copy, bad_lines, duplicated, moved, removed

import tracer
from tracer.frames.ledger import COLUMNS
from tracer.frames.ledger.log import logged
from tracer.frames.ledger.module import _module_ports, _module_replies
from tracer.frames.ledger.readers import reader_lines
from tracer.frames.slack import Slack

POINTS = (
    "sendto",
    "recvfrom",
    "setsockopt",
    "getsockopt",
    "poll",
    "netlink_unicast",
    "__netlink_sendskb",
    "nf_setsockopt",
    "nf_getsockopt",
    "skb_copy_datagram_iter",
    "msgchan_handler",
    "msgchan_copy",
)
SEND, RECEIVE, CALL = 0, 1, 2


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return tracer.load(ALL_CHANNELS).events


@pytest.fixture(scope="module")
def sends() -> pd.DataFrame:
    return tracer.load(ALL_CHANNELS).sends


def middle(rows: pd.Series) -> int:
    """A row from the middle of those that are true."""
    there = rows.to_numpy().nonzero()[0]
    return int(there[len(there) // 2])


def records(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("records of ")]


def line(copy: Copy, name: str) -> pd.Series:
    lines = copy.load().ledger
    (row,) = lines[lines["line"] == name].to_dict("records")
    return row


def test_the_recording_replays() -> None:
    run = tracer.load(ALL_CHANNELS)
    check(run)
    assert tuple(run.ledger.columns) == COLUMNS
    assert set(POINTS) == set(run.events["point"].unique())
    assert (run.ledger["difference"] == run.ledger["count"] - run.ledger["other"]).all()


def test_an_untouched_copy_is_trusted(copy: Copy) -> None:
    copy.rows("events", lambda frame: frame)
    copy.rows("sends", lambda frame: frame)
    assert bad_lines(copy.load()) == []


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("damage", [removed, duplicated])
def test_one_event_too_few_or_too_many(
    copy: Copy, events: pd.DataFrame, point: str, damage: Callable[[int], Change]
) -> None:
    copy.rows("events", damage(middle(events["point"] == point)))
    run = copy.load()
    assert not run.trusted
    assert records(bad_lines(run)) == [f"records of {point}"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("ns", [1, -1, 1_000_000])
@pytest.mark.parametrize("columns", [("start_ns",), ("end_ns",), ("start_ns", "end_ns")])
def test_one_event_moved_in_time(
    copy: Copy, events: pd.DataFrame, point: str, ns: int, columns: tuple[str, ...]
) -> None:
    copy.rows("events", moved(middle(events["point"] == point), ns, *columns))
    run = copy.load()
    assert not run.trusted
    assert records(bad_lines(run)) == [f"records of {point}"]
    told = run.ledger.set_index("line").loc[f"records of {point}", "note"]
    assert told == f"times differ by {ns * len(columns)} ns in sum"


@pytest.mark.parametrize(
    ("point", "name"),
    [("skb_copy_datagram_iter", "netlink reads"), ("__netlink_sendskb", "messages read")],
)
def test_copies_against_calls_and_queued_messages(
    copy: Copy, events: pd.DataFrame, point: str, name: str
) -> None:
    """Whichever message it is, but the first of a socket: that may have been queued before."""
    rows = (events["point"] == point).to_numpy().nonzero()[0]
    (file,) = (copy.path / "events").glob("*.parquet")
    whole = file.read_bytes()
    firsts = events.iloc[rows].drop_duplicates(["netns", "proto", "portid"]).index
    for row in rows[::7]:
        file.write_bytes(whole)
        copy.rows("events", removed(int(row)))
        found = copy.load().ledger.set_index("line").loc[name]
        early = point == "__netlink_sendskb" and row in firsts
        assert found["ok"] == early, row
        assert abs(found["difference"]) == (not early)
        if early:
            assert found["note"] == "1 queued before the socket was watched"


def test_a_message_that_nobody_read_is_told(copy: Copy, events: pd.DataFrame) -> None:
    """The last read of the listener, its copy and its call, are gone."""
    last = events.index[events["point"] == "skb_copy_datagram_iter"][-1]
    calls = events[(events["point"] == "recvfrom") & (events["tid"] == events.loc[last, "tid"])]
    around = calls.index[calls["end_ns"] >= events.loc[last, "end_ns"]][0]
    copy.rows("events", lambda frame: frame.drop(index=[last, around]))
    for name in ("netlink reads", "messages read"):
        assert line(copy, name)["ok"]
    row = line(copy, "messages read")
    assert (row["count"], row["other"]) == (70, 70)
    assert row["note"] == "1 queued, of which no read was seen"


def test_records_of_which_no_probe_gives_account(copy: Copy) -> None:
    copy.meta(lambda meta: meta["accounts"].pop("poll"))
    lines = ["records of poll", "ring full", "returns missed", "witnesses missing"]
    assert bad_lines(copy.load()) == lines
    told = line(copy, "records of poll")
    assert (pd.isna(told["count"]), told["other"], pd.isna(told["difference"])) == (True, 1, True)
    assert told["note"] == "unknown: meta.json lacks it"
    assert line(copy, "witnesses missing")["note"] == "accounts.poll"


def test_a_full_receive_queue_is_told_but_is_no_loss_of_ours() -> None:
    events = pd.DataFrame({"point": ["netlink_overrun", "recvfrom", "netlink_overrun"]})
    reads: Any = SimpleNamespace(calls=1, filled=1, queued=1, known=1, early=0, consumed=1)
    *_others, told = reader_lines(events, reads)
    assert (told.line, told.count, told.ok) == ("receive queue full", 2, True)
    assert "receive queue full" not in [line.line for line in reader_lines(events.iloc[1:2], reads)]


def test_a_task_removed_or_moved(copy: Copy) -> None:
    copy.rows("tasks", moved(0, 1, "start_ns"))
    assert bad_lines(copy.load()) == ["records of task"]
    copy.rows("tasks", removed(0))
    assert bad_lines(copy.load()) == ["records of task"]


@pytest.mark.parametrize(
    ("channel", "kind", "name"),
    [
        (0, SEND, "netlink sends"),
        (0, RECEIVE, "receives"),
        (1, CALL, "setsockopt calls"),
        (2, CALL, "getsockopt calls"),
        (3, RECEIVE, "receives"),
    ],
)
@pytest.mark.parametrize("damage", [removed, duplicated])
def test_one_entry_of_the_log_too_few_or_too_many(
    copy: Copy,
    sends: pd.DataFrame,
    channel: int,
    kind: int,
    name: str,
    damage: Callable[[int], Change],
) -> None:
    rows = (sends["channel"] == channel) & (sends["kind"] == kind)
    copy.rows("sends", damage(middle(rows)))
    if damage is removed and kind == RECEIVE:
        name = "reads nobody logged"
    assert name in bad_lines(copy.load())


@pytest.mark.parametrize(
    ("channel", "kind", "lines"),
    [
        (0, SEND, ["sends nobody saw", "requests nobody logged"]),
        (0, RECEIVE, ["receives"]),
        (1, CALL, ["sends nobody saw", "requests nobody logged"]),
        (2, CALL, ["sends nobody saw", "requests nobody logged"]),
    ],
)
def test_one_entry_of_the_log_moved_in_time(
    copy: Copy, sends: pd.DataFrame, channel: int, kind: int, lines: list[str]
) -> None:
    row = middle((sends["channel"] == channel) & (sends["kind"] == kind))
    copy.rows("sends", moved(row, 10**9, "begin_ns", "end_ns"))
    assert set(lines) <= set(bad_lines(copy.load()))


def test_the_log_stands_against_the_processes_that_kept_one() -> None:
    """Sends to other programs are sends; what another process did, and what nobody saw, is not."""
    sends = pd.DataFrame(
        {"tgid": 1, "kind": [SEND, SEND, RECEIVE, RECEIVE, CALL], "channel": [0, 0, 0, 0, 1],
         "size": [64, 64, 32, 0, 8]}
    )  # fmt: skip
    exchanges = pd.DataFrame(
        {"tgid": [1, 1, 1, 2], "channel": ["netlink", "peer", "netlink", "netlink"],
         "status": ["ok", "ok", "unmatched_user", "ok"]}
    )  # fmt: skip
    correlation: Any = SimpleNamespace(unseen=[0], unlogged=[])
    told = logged(sends, exchanges, correlation, Slack())
    assert {line.line: (line.count, line.other, line.ok) for line in told} == {
        "netlink sends": (2, 2, True),
        "setsockopt calls": (1, 0, False),
        "receives": (1, 0, False),
        "reads nobody logged": (0, 0, True),
    }


def test_a_token_that_another_witness_contradicts(copy: Copy, sends: pd.DataFrame) -> None:
    row = middle((sends["channel"] == 0) & (sends["kind"] == SEND))
    copy.rows("sends", moved(row, 1, "token"))
    assert bad_lines(copy.load()) == ["tokens that disagree"]


@pytest.mark.parametrize(("key", "name"), [("lost", "ring full"), ("missed", "returns missed")])
def test_losses_that_the_probes_counted(copy: Copy, key: str, name: str) -> None:
    copy.meta(lambda meta: meta["accounts"]["sendto"].update({key: 3}))
    assert bad_lines(copy.load()) == [name]
    row = line(copy, name)
    assert row["count"] == 3
    assert "sendto 3" in row["note"]


@pytest.mark.parametrize(
    ("key", "name"),
    [("recursion_misses", "recursion misses"), ("kprobe_misses", "kprobe misses")],
)
def test_losses_that_the_kernel_counted(copy: Copy, key: str, name: str) -> None:
    copy.meta(lambda meta: meta["losses"].update({key: 2}))
    assert bad_lines(copy.load()) == [name]


def test_records_that_nobody_understood(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(not_understood={"count": 2, "first": "kind 0, point 0"}))
    assert bad_lines(copy.load()) == ["records not understood"]
    row = line(copy, "records not understood")
    assert (row["count"], row["note"]) == (2, "kind 0, point 0")


def test_rows_missing_on_disk(copy: Copy) -> None:
    copy.meta(lambda meta: meta["segments"].update(tasks=6))
    assert bad_lines(copy.load()) == ["segments lost"]
    assert line(copy, "segments lost")["note"] == "tasks: 5 rows found, 6 were written"


def test_a_recorder_that_was_killed(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(clean=False))
    assert bad_lines(copy.load()) == ["segments lost"]


def counted(channel: str, field: str, by: int) -> Callable[[dict[str, Any]], None]:
    """The module counted ``by`` more while we recorded."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["counters"][channel][field] += by

    return change


def replied(channel: str, by: int) -> Callable[[dict[str, Any]], None]:
    """The module sent ``by`` more replies."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["late"][channel]["replies"] += by

    return change


@pytest.mark.parametrize("channel", ["netlink", "setsockopt", "getsockopt", "icmp"])
@pytest.mark.parametrize("by", [1, -1])
def test_the_module_counted_otherwise(copy: Copy, channel: str, by: int) -> None:
    copy.meta(counted(channel, "requests", by))
    assert bad_lines(copy.load()) == [f"msgchan {channel} requests"]


def test_requests_of_another_namespace_are_not_compared(copy: Copy, events: pd.DataFrame) -> None:
    """The module counts there by itself; what is told here is how many there were."""
    row = middle((events["point"] == "msgchan_handler") & (events["proto"] == 2))
    copy.rows(
        "events", lambda frame: frame.assign(netns=frame["netns"].where(frame.index != row, 77))
    )
    assert bad_lines(copy.load()) == ["msgchan netlink requests"]
    copy.meta(counted("netlink", "requests", -1))
    told = line(copy, "msgchan netlink requests")
    assert told["ok"]
    assert told["note"] == "1 more in other network namespaces, not compared"


def foreign(channel: str, early: int, late: int) -> Callable[[dict[str, Any]], None]:
    """Requests of others: ``early`` before the module was read at the end, ``late`` after."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["early"][channel]["foreign"] = early
        meta["stats"]["after"]["late"][channel]["foreign"] = late

    return change


@pytest.mark.parametrize(
    ("early", "late", "by", "ok"),
    [
        (5, 5, 5, True),
        (5, 5, 4, False),
        (5, 5, 6, False),
        (3, 9, 3, True),
        (3, 9, 9, True),
        (3, 9, 1, True),  # two CPUs: so many may be between the two counts
        (3, 9, 0, False),
        (3, 9, 11, True),
        (3, 9, 12, False),
    ],
)
def test_foreign_traffic_within_its_bounds(
    copy: Copy, early: int, late: int, by: int, ok: bool
) -> None:
    copy.meta(lambda meta: meta.update(cpus=2))
    copy.meta(counted("netlink", "requests", by))
    copy.meta(foreign("netlink", early, late))
    assert bad_lines(copy.load()) == ([] if ok else ["msgchan netlink requests"])
    share = min(max(by, early), late)
    allowed = "; up to 2 calls under way when they were counted" if ok and by != share else ""
    told = line(copy, "msgchan netlink requests")["note"]
    assert told == f"{share} by processes not traced{allowed}"


@pytest.mark.parametrize(
    ("point", "proto", "line_of"),
    [
        ("msgchan_handler", 0, "msgchan setsockopt requests"),
        ("msgchan_handler", 2, "msgchan netlink requests"),
        ("msgchan_handler", 3, "msgchan icmp requests"),
        ("__netlink_sendskb", 30, "msgchan netlink replies"),
        ("__netlink_sendskb", 31, "msgchan icmp replies"),
    ],
)
def test_a_record_lost_in_the_ring_is_missing_on_its_own_channel_only(
    copy: Copy, events: pd.DataFrame, point: str, proto: int, line_of: str
) -> None:
    """The probes count what did not fit by point; the other channels of the point are whole."""
    row = middle((events["point"] == point) & (events["proto"] == proto))
    copy.rows("events", removed(row))
    assert line_of in bad_lines(copy.load())
    copy.meta(lambda meta: meta["accounts"][point].update(lost=1))
    run = copy.load()
    assert "ring full" in bad_lines(run)
    assert [name for name in bad_lines(run) if name.startswith("msgchan")] == []


def test_a_lost_record_excuses_one_request_and_one_reply_only(copy: Copy) -> None:
    for point in ("msgchan_handler", "__netlink_sendskb"):
        copy.meta(lambda meta, point=point: meta["accounts"][point].update(lost=1))
    for channel in ("setsockopt", "netlink"):
        copy.meta(counted(channel, "requests", 1))
    for channel in ("netlink", "icmp"):
        copy.meta(replied(channel, 1))
    assert bad_lines(copy.load()) == [
        "ring full",
        "msgchan netlink requests",
        "msgchan icmp replies",
    ]


def test_requests_of_others_are_no_lost_records(copy: Copy) -> None:
    copy.meta(lambda meta: meta["accounts"]["msgchan_handler"].update(lost=1))
    copy.meta(counted("icmp", "requests", 1))
    copy.meta(counted("netlink", "requests", 5))
    copy.meta(foreign("netlink", 5, 5))
    assert bad_lines(copy.load()) == ["ring full"]


def test_foreign_traffic_does_not_hide_a_lost_record(copy: Copy, events: pd.DataFrame) -> None:
    copy.meta(counted("netlink", "requests", 5))
    copy.meta(foreign("netlink", 5, 5))
    handlers = (events["point"] == "msgchan_handler") & (events["proto"] == 2)
    copy.rows("events", removed(middle(handlers)))
    assert "msgchan netlink requests" in bad_lines(copy.load())


def test_the_module_counted_otherwise_for_one_port(copy: Copy) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["ports"]["258"]["requests"] += 1

    copy.meta(change)
    assert bad_lines(copy.load()) == ["msgchan requests by port id"]
    note = line(copy, "msgchan requests by port id")["note"]
    assert note == "port 258: 24 counted, 23 seen"


@pytest.mark.parametrize(("by", "ok"), [(0, True), (5, True), (6, False), (-1, False)])
def test_a_port_that_was_busy_before_it_was_traced(copy: Copy, by: int, ok: bool) -> None:
    """As with -p: what it sent until then is among what the probes counted of others."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"]["after"]["ports"]["258"]["requests"] += by

    copy.meta(foreign("netlink", 0, 5))
    copy.meta(change)
    row = line(copy, "msgchan requests by port id")
    assert row["ok"] == ok
    assert row["note"].startswith(f"{min(by, 5)} before they were traced" if by > 0 else "")


def test_errors_of_two_ports_do_not_cancel_out() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5, 5, 6, 6]}
    )
    after = {"ports": {"5": {"requests": 3}, "6": {"requests": 1}}}
    (told,) = _module_ports({"netns": 1}, {"ports": {}}, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (4, 4, False)
    assert sorted(told.note.split("; ")) == [
        "port 5: 3 counted, 2 seen",
        "port 6: 1 counted, 2 seen",
    ]


def test_a_port_that_the_module_never_heard_of() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [7, 7]}
    )
    none: dict[str, Any] = {"ports": {}}
    (told,) = _module_ports({"netns": 1}, none, none, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (0, 2, False)
    assert told.note == "port 7: 0 counted, 2 seen"


@pytest.mark.parametrize(("others", "ok"), [(2, False), (3, True), (300, True)])
def test_what_was_not_counted_by_port_is_made_up_for_as_far_as_it_goes(
    others: int, ok: bool
) -> None:
    """Port 5 had no right to ask; port 6 made room, and came back with a new account."""
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5, 5, 6]}
    )
    before = {"ports": {"0": {"requests": 7}}}
    after = {"ports": {"0": {"requests": 7 + others}}}
    (told,) = _module_ports({"netns": 1}, before, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (min(others, 3), 3, ok)
    assert told.note.startswith(f"{min(others, 3)} not counted by port id")
    assert ("port 6: 0 counted, 1 seen" in told.note) != ok


def test_a_port_that_made_room_and_came_back() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5] * 8}
    )
    before = {"ports": {"0": {"requests": 0}, "5": {"requests": 100}}}
    after = {"ports": {"0": {"requests": 105}, "5": {"requests": 3}}}
    (told,) = _module_ports({"netns": 1}, before, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (8, 8, True)


def test_what_others_sent_without_a_right_does_not_hide_what_a_port_has_too_much() -> None:
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": 30, "netns": 1, "status": "ok", "portid": [5]}
    )
    after = {"ports": {"0": {"requests": 9}, "5": {"requests": 2}}}
    none: dict[str, Any] = {"ports": {}}
    (told,) = _module_ports({"netns": 1}, none, after, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (2, 1, False)


def test_a_module_with_protocols_of_its_own() -> None:
    """What is on its protocols counts, what is on the usual ones is another's."""
    parameters = {"netlink_proto": 25, "icmp_proto": 26}
    meta = {
        "netns": 1, "module": {"parameters": parameters},
        "accounts": {"__netlink_sendskb": {"lost": 0}},
    }  # fmt: skip
    exchanges = pd.DataFrame(
        {"channel": "netlink", "proto": [25, 25, 30], "netns": 1, "status": "ok", "portid": 7}
    )
    ports = {"ports": {"7": {"requests": 2}}}
    (told,) = _module_ports(meta, {"ports": {}}, ports, exchanges, Slack())
    assert (told.count, told.other, told.ok) == (2, 2, True)

    events = pd.DataFrame({"point": "__netlink_sendskb", "proto": [25, 26, 26, 30, 31]})
    before, after = (
        {when: {"netlink": {"replies": netlink}, "icmp": {"replies": icmp}}}
        for when, netlink, icmp in (("early", 4, 5), ("late", 5, 7))
    )
    lines = _module_replies(meta, before, after, events, Slack())
    assert [(told.count, told.other, told.ok) for told in lines] == [(1, 1, True), (2, 2, True)]
    lines = _module_replies(meta, before, {"late": before["early"]}, events, Slack())
    assert [(told.count, told.other, told.ok) for told in lines] == [(0, 1, False), (0, 2, False)]


@pytest.mark.parametrize("channel", ["netlink", "icmp"])
def test_replies_that_the_queue_did_not_see(copy: Copy, channel: str) -> None:
    copy.meta(replied(channel, 1))
    assert bad_lines(copy.load()) == [f"msgchan {channel} replies"]


def test_what_the_plan_left_out_is_declared(copy: Copy) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["plan"][0]["site"] = "absent"

    copy.meta(change)
    row = line(copy, "not watched")
    assert (row["ok"], row["count"], row["note"]) == (True, 1, "io_uring, __sys_sendto")


def test_getsockopts_whose_copy_nobody_saw_are_declared(copy: Copy, events: pd.DataFrame) -> None:
    copy.rows("events", removed(middle(events["point"] == "msgchan_copy")))
    row = line(copy, "not watched")
    assert (row["ok"], row["count"]) == (True, 1)
    assert row["note"].startswith("io_uring, the copy of 1 getsockopts (by module_tracepoint")


@pytest.mark.parametrize("missing", [("before", "after"), ("before",), ("after",)])
def test_counters_of_a_module_that_the_plan_watches(copy: Copy, missing: tuple[str, ...]) -> None:
    copy.meta(lambda meta: meta["stats"].update(dict.fromkeys(missing)))
    assert bad_lines(copy.load()) == ["msgchan requests", "witnesses missing"]
    told = line(copy, "msgchan requests")
    assert (pd.isna(told["count"]), told["other"]) == (True, 71)
    assert line(copy, "witnesses missing")["note"] == ", ".join(f"stats.{m}" for m in missing)


def test_a_recording_without_the_module(copy: Copy, events: pd.DataFrame) -> None:
    """Its points are absent from the plan, and nobody asks for its counters."""

    def change(meta: dict[str, Any]) -> None:
        meta["stats"].update(before=None, after=None)
        for row in meta["plan"]:
            if "msgchan" in row["target"]:
                row["site"] = "absent"

    copy.meta(change)
    points = ["records of msgchan_handler", "records of msgchan_copy"]
    assert bad_lines(copy.load()) == points
    assert line(copy, points[0])["note"] == "the plan does not watch it"
    copy.rows(
        "events", lambda frame: frame[~frame["point"].isin(["msgchan_handler", "msgchan_copy"])]
    )
    copy.meta(lambda meta: meta["accounts"].update(
        {point: dict.fromkeys(("emitted", "lost", "time_sum", "missed"), 0)
         for point in ("msgchan_handler", "msgchan_copy")}))  # fmt: skip
    lines = copy.load().ledger
    assert not lines["line"].str.startswith("msgchan").any()
    assert lines["ok"].all()


def spool_of(ours: int, strangers: int) -> dict[str, Any]:
    first = "1000/x.sends: not a regular file"
    return {
        "ours": {"count": ours, "first": first if ours else ""},
        "strangers": {"count": strangers, "first": first if strangers else ""},
    }


def test_a_traced_user_s_odd_file_may_be_a_lost_log(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(spool=spool_of(2, 0)))
    assert bad_lines(copy.load()) == ["odd files in the spool"]
    row = line(copy, "odd files in the spool")
    assert (row["count"], row["other"], row["ok"]) == (2, 0, False)
    assert row["note"] == "1000/x.sends: not a regular file"


def test_strangers_cannot_make_a_recording_untrusted(copy: Copy) -> None:
    copy.meta(lambda meta: meta.update(spool=spool_of(0, 7)))
    assert copy.load().trusted
    assert line(copy, "odd files in the spool")["ok"]
    row = line(copy, "files of strangers in the spool")
    assert (row["count"], row["ok"]) == (7, True)
    assert row["note"] == "not read: 1000/x.sends: not a regular file"


def test_recordings_made_before_the_spool_was_judged(copy: Copy) -> None:
    assert "odd files in the spool" not in set(copy.load().ledger["line"])
