# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about port ids: what msgchan counted at each, and the messages recorded there.

Only the recorder's network namespace is compared, whose port table was read. These causes may
make the counts of a port differ:

- A process may have sent requests in the recording before it was traced. The module counts these
  at its port, and it counts how many requests it told to no tracer. So a port may have at most
  that many more. The same holds for a request that was open when tracing stopped.
- Some requests have no entry by port id, such as those of ports evicted from the full table. The
  module counts them at port id 0. What a port lacks is taken from there, as long as that count
  lasts, and the note says how much.

What a port has more in replies and bytes is allowed only where it may have more requests, and has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tracer.frames.ledger.line import Line, compared
from tracer.frames.ledger.messages import queued_messages, sent_messages
from tracer.frames.slack import Slack, protocols

_NLMSG_HDRLEN = 16
#: The answers of one request: the reply, and the acknowledgement.
_MOST_REPLIES = 2
_ANY = 2**62
Table = dict[str, dict[str, int]]
ByPort = dict[int, int]


@dataclass(frozen=True)
class Counted:
    """One field of the module's counters: how much it grew at each port while recording.

    ``folded`` is how much of ``counted`` at each port was taken from port id 0; ``seen`` is what
    the probes recorded at the same ports.
    """

    seen: ByPort
    counted: ByPort
    folded: ByPort

    def more(self, port: int) -> int:
        """How much more the module counted at the port than was seen; negative if less."""
        return self.counted[port] - self.seen[port]


def port_lines(
    meta: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    rows: Mapping[str, pd.DataFrame],
    slack: Slack,
    unseen: int,
) -> Iterator[Line]:
    """Requests, their bytes, and replies by port id, as the module counted and the probes saw.

    ``unseen`` bounds how many requests threads made that were not traced then.
    """
    proto = protocols(meta)["netlink"]
    sent = _here(sent_messages(rows), proto, meta)
    sent = sent[~(sent["ret"] < 0).fillna(False).astype(bool)]  # the others never arrived
    queued = _here(queued_messages(rows), proto, meta)
    ports = sorted({*sent["portid"].tolist(), *queued["portid"].tolist()})
    cut = {port: slack.requests[proto, port] for port in ports}
    tables = before["ports"], after["ports"]

    requests = _counted(*tables, "requests", _by_port(sent.groupby("portid").size(), ports))
    yield from _line(
        "msgchan requests by port id", "netlink_unicast", requests, cut,
        lambda port: (0, cut[port] + unseen),
    )  # fmt: skip
    allowed = {port: range(cut[port] + unseen + 1) for port in ports}
    more = {port: n if (n := requests.more(port)) in allowed[port] else 0 for port in ports}
    folding = set(requests.folded)

    sizes = _by_port(sent.groupby("portid")["size"].sum(), ports)
    yield from _line(
        "msgchan request bytes by port id", "netlink_unicast",
        _counted(*tables, "request_bytes", sizes, folding), cut,
        lambda port: (_NLMSG_HDRLEN * more[port], _ANY if more[port] else 0),
    )  # fmt: skip

    replies = _by_port(queued.groupby("portid").size(), ports)
    yield from _line(
        "msgchan netlink replies", "__netlink_sendskb",
        _counted(*tables, "replies", replies, folding), cut,
        lambda port: (-cut[port], cut[port] + _MOST_REPLIES * more[port]),
    )  # fmt: skip


def _by_port(numbers: pd.Series[Any], ports: list[int]) -> ByPort:
    """The numbers as integers, 0 for a port that has none."""
    known = numbers.to_dict()
    return {port: int(known.get(port, 0)) for port in ports}


def _here(messages: pd.DataFrame, proto: int, meta: dict[str, Any]) -> pd.DataFrame:
    is_here = (messages["proto"] == proto) & (messages["netns"] == meta.get("netns", -1))
    return messages[is_here]


def _counted(
    before: Table, after: Table, field: str, seen: ByPort, folding: set[int] | None = None
) -> Counted:
    """How much the field grew; only the ports in ``folding`` (None: all) may take of port id 0."""

    def grown(port: int) -> int:
        key = str(port)
        return int(after.get(key, {}).get(field, 0)) - int(before.get(key, {}).get(field, 0))

    others = max(0, grown(0))
    result = Counted(seen, {}, {})
    for port, number in seen.items():
        lacking = 0
        if folding is None or port in folding:
            lacking = min(max(number - grown(port), 0), others)
        if lacking:
            result.folded[port] = lacking
        others -= lacking
        result.counted[port] = grown(port) + lacking
    return result


def _line(
    name: str,
    against: str,
    ports: Counted,
    cut: ByPort,
    allowed: Callable[[int], tuple[int, int]],
) -> Iterator[Line]:
    """The line of one field; ``allowed`` bounds how much more the module may count at a port.

    ``cut`` is how many requests of each port were open when tracing stopped.
    """
    if not any(ports.seen.values()) and not any(ports.counted.values()):
        return
    wrong, open_, earlier = [], 0, 0
    for port in ports.seen:
        more, (low, high) = ports.more(port), allowed(port)
        if not low <= more <= high:
            wrong.append(f"port {port}: {ports.counted[port]} counted, {ports.seen[port]} seen")
        elif cut[port]:
            open_ += more
        else:
            earlier += more
    folded = sum(ports.folded.values())
    notes = [f"{folded} not counted by port id"] * bool(folded)
    notes += [f"{earlier} before they were traced"] * bool(earlier)
    notes += [f"{open_} of requests cut off in the middle"] * bool(open_)
    total = sum(ports.counted.values())
    other = sum(ports.seen.values()) + earlier + open_
    line = compared(name, "module", total, against, other, "; ".join(notes + wrong))
    yield replace(line, ok=line.ok and not wrong)
