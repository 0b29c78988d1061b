# SPDX-License-Identifier: GPL-2.0-or-later
"""The balance of a recording: what one witness counted against what another did.

Every line compares two independent counts of the same thing. A recording is
trusted when every line is ``ok``. A count that a missing witness would have told is NA, and
its line is not ``ok``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tracer.correlate.exchanges import Correlation
from tracer.correlate.netlink import Reads
from tracer.correlate.user import CALL, RECEIVE, SEND
from tracer.event import CODE, POINTS
from tracer.recording.witnesses import LogCount, lacking, seal, watched, whole
from tracer.slack import MODULE_CHANNELS, Slack, slack_of

COLUMNS = ("line", "witness", "count", "against", "other", "difference", "ok", "note")


@dataclass(frozen=True)
class Line:
    """One line of the ledger; ``difference`` is ``count - other``."""

    line: str
    witness: str
    count: int | None
    against: str
    other: int
    difference: int | None
    ok: bool
    note: str = ""


def balance(
    meta: dict[str, Any],
    events: pd.DataFrame,
    sends: pd.DataFrame,
    tasks: pd.DataFrame,
    correlation: Correlation,
    damage: list[str],
) -> pd.DataFrame:
    """The ledger: one row per comparison, columns :data:`COLUMNS`.

    ``count`` and ``other`` are numbers of things (records, calls, messages); the
    note says what else there is to know, such as traffic of processes not traced.
    """
    exchanges = correlation.exchanges
    gaps = lacking(meta)
    written = meta
    meta = whole(meta, gaps)
    slack = slack_of(meta, events, sends, correlation)
    lines = [
        *_records(meta, events, tasks),
        *_losses(meta, gaps),
        *_entries(meta, sends),
        *_logged(sends, exchanges, correlation, slack),
        *_refused(meta),
        *_module(meta, events, exchanges, slack),
        *_readers(events, correlation.reads),
        *_joins(exchanges, correlation, slack),
        *_open(meta),
        *_presence(written, gaps),
        _none("segments lost", "disk", len(damage), "; ".join(damage)),
        *_unwatched(meta, exchanges),
    ]
    table = pd.DataFrame([astuple(line) for line in lines], columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("count", "other", "difference"), "Int64"))


def _line(
    line: str,
    witness: str,
    count: int,
    against: str,
    other: int,
    note: str = "",
    slack: int = 0,
    excuse: str = "cut off in the middle",
) -> Line:
    """A line that is ok when the counts differ by at most ``slack`` calls, for the ``excuse``."""
    difference = count - other
    if difference and abs(difference) <= slack:
        calls = f"up to {slack} {'call' if slack == 1 else 'calls'} {excuse}"
        note = "; ".join(filter(None, [note, calls]))
    return Line(line, witness, count, against, other, difference, abs(difference) <= slack, note)


def _none(line: str, witness: str, count: int, note: str = "") -> Line:
    """A loss: there should be none."""
    return _line(line, witness, count, "none expected", 0, note)


def _unknown(meta: dict[str, Any], line: str, witness: str, against: str, other: int) -> Line:
    """A comparison that a missing witness leaves open."""
    closed = "meta.json lacks it" if meta["clean"] else "the recording was not closed"
    return Line(line, witness, None, against, other, None, False, f"unknown: {closed}")


def _presence(meta: dict[str, Any], gaps: list[str]) -> Iterator[Line]:
    """Whether all is there that must be, given the plan, and as it was written."""
    told = gaps if len(gaps) < 6 else [*gaps[:5], f"{len(gaps) - 5} more"]
    if gaps and not meta["clean"]:
        told = [*told, "the recording was not closed"]
    yield _none("witnesses missing", "meta.json", len(gaps), ", ".join(told))
    if meta.get("seal"):
        altered = meta["seal"] != seal(meta)
        note = "it was changed after it was written" if altered else ""
        yield _none("meta.json altered", "seal", int(altered), note)
    if (meta.get("clock") or {}).get("deterministic"):
        # Of several processors each would count by itself.
        cpus = int(meta.get("cpus") or 0)
        yield _line("processors", "recorder", cpus, "clock that counts instructions", 1)


def _records(meta: dict[str, Any], events: pd.DataFrame, tasks: pd.DataFrame) -> Iterator[Line]:
    """Records by point: counted by the probe when it wrote one, and found here.

    The sum of their times is compared as well (modulo 2**64), so that a record that
    was moved in time is found out.
    """
    accounts = meta["accounts"]
    planned = watched(meta) | {"task"}
    points = events["point"].astype("category").cat
    code = np.array([CODE[str(name)] for name in points.categories] or [0])[points.codes]
    times = events["start_ns"].to_numpy().astype(np.uint64) + events["end_ns"].to_numpy().astype(
        np.uint64
    )
    for number, point in enumerate(POINTS):
        if number == 0:
            found, total = len(tasks), int(tasks["start_ns"].sum())
        else:
            here = code == number
            found, total = int(here.sum()), int(times[here].sum(dtype=np.uint64))
        account = accounts.get(point)
        if account is None:
            if found:
                yield _unknown(meta, f"records of {point}", "probe", "recording", found)
            continue
        if not found and not account["emitted"]:
            continue
        shift = (total - account["time_sum"] + 2**63) % 2**64 - 2**63
        wrong = [f"times differ by {shift} ns in sum"] * bool(shift)
        wrong += ["the plan does not watch it"] * (point not in planned)
        line = _line(
            f"records of {point}",
            "probe",
            account["emitted"],
            "recording",
            found,
            "; ".join(wrong),
        )
        yield replace(line, ok=line.ok and not wrong)


def _losses(meta: dict[str, Any], gaps: list[str]) -> Iterator[Line]:
    accounts = meta["accounts"]
    unknown = any(gap.split(".")[0] == "accounts" for gap in gaps)
    for name, key, hint in (
        ("ring full", "lost", "use a larger --ring-size"),
        ("returns missed", "missed", "kretprobes without a free instance, or nested too deep"),
    ):
        at = [f"{point} {a[key]}" for point, a in accounts.items() if a[key]]
        total = sum(a[key] for a in accounts.values())
        if unknown:
            yield _unknown(meta, name, "probes", "none expected", 0)
        else:
            yield _none(name, "probes", total, f"{', '.join(at)}; {hint}" if at else "")
    odd = meta.get("not_understood")
    if odd is None and meta["schema"] >= 2:
        yield _unknown(meta, "records not understood", "ring", "none expected", 0)
    else:
        odd = odd or {"count": 0, "first": ""}
        yield _none("records not understood", "ring", odd["count"], odd["first"])
    for name, key in (("recursion misses", "recursion_misses"), ("kprobe misses", "kprobe_misses")):
        if key in meta["losses"]:
            yield _none(name, "kernel", meta["losses"][key])
        else:
            yield _unknown(meta, name, "kernel", "none expected", 0)


def _entries(meta: dict[str, Any], sends: pd.DataFrame) -> Iterator[Line]:
    """Entries of the user's log: counted by process when they were read, and found here."""
    if meta["schema"] < 2:
        return
    name, witness = "entries of the log", "spool"
    read = meta.get("log")
    if read is None:
        yield _unknown(meta, name, witness, "recording", len(sends))
        return
    here = LogCount()
    here.add(sends)
    found = here.as_dict()
    wrong = [
        f"process {tgid}: they differ in number or times"
        for tgid in sorted(read.keys() | found.keys())
        if read.get(tgid) != found.get(tgid)
    ]
    total = sum(process["entries"] for process in read.values())
    if total or len(sends):
        line = _line(name, witness, total, "recording", len(sends), "; ".join(wrong))
        yield replace(line, ok=line.ok and not wrong)


def _logged(
    sends: pd.DataFrame, exchanges: pd.DataFrame, correlation: Correlation, slack: Slack
) -> Iterator[Line]:
    """The user's log against what was seen of the processes that kept one."""
    if sends.empty:
        return
    logging = exchanges["tgid"].isin(sends["tgid"].unique()) & (
        exchanges["status"] != "unmatched_user"
    )
    seen = exchanges.loc[logging, "channel"].value_counts()
    netlink = int(seen.get("netlink", 0) + seen.get("peer", 0))
    logged = int((sends["kind"] == SEND).sum())
    cut = slack.log("netlink", "peer")
    yield _line("netlink sends", "user's log", logged, "netlink_unicast", netlink, slack=cut)
    for code, channel in ((1, "setsockopt"), (2, "getsockopt")):
        calls = int(((sends["kind"] == CALL) & (sends["channel"] == code)).sum())
        there = int(seen.get(channel, 0))
        if calls or there:
            cut = slack.log(channel)
            yield _line(f"{channel} calls", "user's log", calls, f"nf_{channel}", there, slack=cut)
    received = int(((sends["kind"] == RECEIVE) & (sends["size"] > 0)).sum())
    held = received - len(correlation.unseen)
    cut = slack.unseen_receives
    yield _line("receives", "user's log", received, "receive calls", held, slack=cut)
    unlogged, cut = len(correlation.unlogged), slack.unlogged_reads
    yield _line("reads nobody logged", "kernel", unlogged, "none expected", 0, slack=cut)


def _refused(meta: dict[str, Any]) -> Iterator[Line]:
    """What lay in the spool and was not taken for a log (see :mod:`tracer.clients.spool`).

    A stranger's files are declared: nobody else may decide whether a recording is trusted.
    """
    spool = meta.get("spool")
    if spool is None:
        if meta["schema"] >= 2:
            yield _unknown(meta, "odd files in the spool", "recorder", "none expected", 0)
        return
    ours, strangers = spool["ours"], spool["strangers"]
    yield _none("odd files in the spool", "recorder", ours["count"], ours["first"])
    if strangers["count"]:
        yield Line(
            "files of strangers in the spool",
            "recorder",
            strangers["count"],
            "declared",
            strangers["count"],
            0,
            True,
            f"not read: {strangers['first']}",
        )


def _module(
    meta: dict[str, Any], events: pd.DataFrame, exchanges: pd.DataFrame, slack: Slack
) -> Iterator[Line]:
    """What msgchan counted while we recorded, against what its tracepoints told us.

    It counts in every network namespace by itself; the counters are those of the recorder's.
    Recordings made before the tracepoints told the namespace have 0 there.
    """
    handlers = events[events["point"] == "msgchan_handler"]
    stats = meta.get("stats") or {}
    before, after = stats.get("before"), stats.get("after")
    if not before or not after:
        if "msgchan_handler" in watched(meta):
            yield _unknown(meta, "msgchan requests", "module", "handlers recorded", len(handlers))
        return
    here = handlers["netns"].isin([0, meta.get("netns", 0)])
    lost = _lost(meta, "msgchan_handler")  # of all channels together
    for code, channel in enumerate(MODULE_CHANNELS):
        counted = _delta(before["counters"], after["counters"], channel, "requests")
        on_channel = handlers["proto"] == code
        recorded = int((on_channel & here).sum())
        elsewhere = int((on_channel & ~here).sum())
        # The module was read between two readings of what the probes saw of others: they
        # bound the foreign share; what others do meanwhile is under way on some CPU.
        low = after["early"][channel]["foreign"] - before["late"][channel]["foreign"]
        high = after["late"][channel]["foreign"] - before["early"][channel]["foreign"]
        share = min(lost, max(counted - recorded - low, 0))
        lost, recorded = lost - share, recorded + share
        foreign = min(max(counted - recorded, low), high)
        moving = int(meta.get("cpus", 0)) if high > low else 0
        yield _line(
            f"msgchan {channel} requests",
            "module",
            counted,
            "handlers recorded and foreign",
            recorded + foreign,
            "; ".join(
                [f"{foreign} by processes not traced"] * bool(foreign)
                + [f"{elsewhere} more in other network namespaces, not compared"] * bool(elsewhere)
            ),
            slack=slack.handlers[channel] + moving,
            excuse="under way when they were counted" if moving else "cut off in the middle",
        )
    yield from _module_ports(meta, before, after, exchanges, slack)
    yield from _module_replies(meta, before, after, events, slack)


def _lost(meta: dict[str, Any], point: str) -> int:
    """Records of the point that the ring had no room for; 0 where nobody knows."""
    return int(meta["accounts"].get(point, {}).get("lost", 0))


def _delta(before: dict[str, Any], after: dict[str, Any], key: str, field: str) -> int:
    return int(after.get(key, {}).get(field, 0)) - int(before.get(key, {}).get(field, 0))


def _module_ports(
    meta: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    exchanges: pd.DataFrame,
    slack: Slack,
) -> Iterator[Line]:
    """Requests by port id; the module's table is that of the recorder's network namespace.

    A process that ran before it was traced sent some unseen: at most what the probes counted
    of processes not traced. What the module counts at no port id of its own (requests without
    the right to ask, ports that made room for others) it counts at port id 0: from there comes
    what a port lacks, as far as it goes.
    """
    unseen = max(0, _foreign(after, "late") - _foreign(before, "early"))
    proto = int(((meta.get("module") or {}).get("parameters") or {}).get("netlink_proto") or 30)
    here = exchanges[
        (exchanges["channel"] == "netlink")
        & (exchanges["proto"] == proto)
        & (exchanges["netns"] == meta.get("netns", -1))
        & (exchanges["status"] != "unmatched_user")
    ]
    counted = seen = folded = cut = 0
    others = max(0, _delta(before["ports"], after["ports"], "0", "requests"))
    wrong = []
    for portid, number in here["portid"].value_counts().items():
        delta = _delta(before["ports"], after["ports"], str(portid), "requests")
        lacking = min(max(int(number) - delta, 0), others - folded)
        folded, delta = folded + lacking, delta + lacking
        counted, seen = counted + delta, seen + int(number)
        under_way = slack.requests[proto, int(portid)]
        cut += under_way
        if not 0 <= delta - int(number) <= under_way + unseen:
            wrong.append(f"port {portid}: {delta} counted, {number} seen")
    if seen or counted:
        share = min(max(counted - seen, 0), unseen)
        notes = [f"{folded} not counted by port id"] * bool(folded)
        notes += [f"{share} before they were traced"] * bool(share)
        line = _line(
            "msgchan requests by port id",
            "module",
            counted,
            "netlink_unicast",
            seen + share,
            "; ".join(notes + wrong),
            slack=cut,
        )
        yield replace(line, ok=line.ok and not wrong)


def _foreign(reading: dict[str, Any], when: str) -> int:
    return int(reading.get(when, {}).get("netlink", {}).get("foreign", 0))


def _module_replies(
    meta: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    events: pd.DataFrame,
    slack: Slack,
) -> Iterator[Line]:
    """Replies by the module's tracepoint, and as they came to lie in a traced socket's queue.

    When the sockets are traced no more, a reply may be between the two: each that then counts
    as another's may be one, at most one on each CPU, or one of a request still under way.
    """
    stopping = after.get("stopping") or after["late"]
    under_way = Counter[int]()
    for (proto, _portid), number in slack.requests.items():
        under_way[proto] += number
    parameters = (meta.get("module") or {}).get("parameters") or {}
    queued = events[events["point"] == "__netlink_sendskb"]
    lost = _lost(meta, "__netlink_sendskb")  # of both together
    for channel, parameter, default in (
        ("netlink", "netlink_proto", 30),
        ("icmp", "icmp_proto", 31),
    ):
        proto = int(parameters.get(parameter) or default)
        sent = after["late"][channel]["replies"] - before["early"][channel]["replies"]
        there = int((queued["proto"] == proto).sum())
        share = min(lost, max(sent - there, 0))
        lost, there = lost - share, there + share
        others = after["late"][channel].get("foreign_replies", 0)
        moving = others - stopping[channel].get("foreign_replies", 0)
        if sent or there:
            yield _line(
                f"msgchan {channel} replies",
                "msgchan:reply_sent",
                sent,
                "__netlink_sendskb",
                there,
                slack=min(moving, meta.get("cpus", 1)) + under_way[proto],
                excuse="under way when they were counted",
            )


def _readers(events: pd.DataFrame, reads: Reads) -> Iterator[Line]:
    """Messages queued for traced sockets: read, or still lying there at the end."""
    copies = "skb_copy_datagram_iter"
    yield _line("netlink reads", "receive calls", reads.calls, copies, reads.filled)
    left = reads.queued - reads.known
    notes = [
        f"{reads.early} queued before the socket was watched" if reads.early else "",
        f"{left} queued, of which no read was seen" if left else "",
    ]
    yield _line(
        "messages read",
        copies,
        reads.consumed,
        "__netlink_sendskb",
        reads.known + reads.early,
        "; ".join(filter(None, notes)),
    )
    overrun = int((events["point"] == "netlink_overrun").sum())
    if overrun:
        yield Line(
            "receive queue full",
            "netlink_overrun",
            overrun,
            "known losses",
            overrun,
            0,
            True,
            "the kernel dropped these messages: the reader was too slow",
        )


def _joins(exchanges: pd.DataFrame, correlation: Correlation, slack: Slack) -> Iterator[Line]:
    status = exchanges["status"].value_counts()
    for name, witness, key, cut in (
        ("sends nobody saw", "user's log", "unmatched_user", slack.unseen),
        ("requests nobody logged", "kernel", "unmatched_kernel", slack.unlogged),
    ):
        count = int(status.get(key, 0))
        yield _line(name, witness, count, "none expected", 0, slack=cut.total())
    disagree = int((exchanges["match"] == "order").sum())
    yield _none("tokens that disagree", "correlation", disagree)
    yield _none("boundaries out of order", "correlation", correlation.disordered)
    yield _none("negative remainders", "correlation", int((exchanges["unexplained_ns"] < 0).sum()))


def _open(meta: dict[str, Any]) -> Iterator[Line]:
    """Calls that threads were inside of when tracing stopped: their spans are not recorded."""
    calls = (meta.get("end") or {}).get("open") or []
    if calls:
        threads = len({call["tid"] for call in calls})
        points = Counter(call["point"] for call in calls)
        told = ", ".join(f"{point} {number}" for point, number in points.items())
        note = f"{told}; of {threads} {'thread' if threads == 1 else 'threads'}"
        number = len(calls)
        yield Line("calls open at the end", "probes", number, "declared", number, 0, True, note)


def _unwatched(meta: dict[str, Any], exchanges: pd.DataFrame) -> Iterator[Line]:
    """What this plan does not see by its nature: declared, not held against the recording."""
    plan = meta.get("plan") or []
    unseen = [row["target"] for row in plan if row["site"] == "absent"]
    gets = exchanges[(exchanges["channel"] == "getsockopt") & (exchanges["status"] == "ok")]
    uncopied = int(((gets["reply_bytes"] > 0) & (gets["copied_bytes"] == 0)).sum())
    if uncopied:
        site = next((row["site"] for row in plan if row["point"] == "copy_to_user"), "plan")
        unseen.append(f"the copy of {uncopied} getsockopts (by {site}; --copy relay sees others')")
    yield Line(
        "not watched",
        "plan",
        len(unseen),
        "declared",
        len(unseen),
        0,
        True,
        ", ".join(["io_uring", *unseen]),
    )
