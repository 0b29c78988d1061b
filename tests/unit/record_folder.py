# SPDX-License-Identifier: GPL-2.0-or-later
"""Folds nested calls, as a scene has them, into the records that the probes make of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer.event import (
    BY_BROADCAST,
    BY_DUMP,
    BY_OTHER,
    BY_UNICAST,
    KIND_MESSAGE,
    O_BEGUN,
    O_COPIED,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    R_COPIED,
    R_COPY,
    RECORD_POINTS,
    S_BEGUN,
    S_DONE,
    S_DUMP,
    S_LAST,
    S_MODULE,
    S_QUEUED,
    S_SEVERAL,
    S_TRIED,
    TO_PEER,
    X_BYSTANDER,
    X_LAST,
    X_RECEIVING,
    X_SENDING,
)

Event = dict[str, Any]
#: A record: its kind, and its fields.
Record = tuple[str, Event]
_WHO = ("tid", "tgid", "cpu", "netns")
_HEADER = (*_WHO, "portid", "proto", "seq", "type", "flags", "size")
_MAKERS = {"netlink_unicast": BY_UNICAST, "netlink_broadcast": BY_BROADCAST,
           "netlink_dump": BY_DUMP}  # fmt: skip


def fold(events: list[Event]) -> list[Record]:
    """The records of all calls in the order of their ends, those of one thread in their order."""
    found: list[tuple[int, list[Record]]] = []
    for tid, cpu in {(e["tid"], e["cpu"]) for e in events}:
        mine = [e for e in events if (e["tid"], e["cpu"]) == (tid, cpu)]
        mine.sort(key=lambda e: (e["start_ns"], e["depth"]))
        for outer, inner in _calls(mine):
            found.append((outer["end_ns"], list(_records(outer, inner))))
    found.sort(key=lambda pair: pair[0])
    return [record for _end, records in found for record in records]


def shuffled(records: list[Record], seed: int) -> list[Record]:
    """The records in another order, but those of each thread in theirs."""
    rng = np.random.default_rng(seed)
    queues: dict[tuple[int, int], list[Record]] = {}
    for kind, record in records:
        queues.setdefault((record["tid"], record["cpu"]), []).append((kind, record))
    mixed = []
    while any(queues.values()):
        there = [queue for queue in queues.values() if queue]
        mixed.append(there[rng.integers(len(there))].pop(0))
    return mixed


def _calls(events: list[Event]) -> list[tuple[Event, list[Event]]]:
    """The outermost calls of a thread, each with all that is inside it."""
    found: list[tuple[Event, list[Event]]] = []
    for event in events:
        if event["depth"] == 0 or not found:
            found.append((event, []))
        else:
            found[-1][1].append(event)
    return found


def _picked(event: Event, *names: str) -> Event:
    return {name: event[name] for name in names}


def _records(outer: Event, inner: list[Event]) -> list[Record]:
    point = outer["point"]
    if point == "netlink_sendmsg":
        return _send(outer, inner)
    if point == "netlink_recvmsg":
        return _receive(outer, inner)
    if point in ("setsockopt", "getsockopt"):
        return _option(outer, inner)
    if point == "poll":
        times = {"start_ns": outer["start_ns"], "end_ns": outer["end_ns"]}
        return [_extra("poll", _picked(outer, *_HEADER) | times)]
    return [record for record, _maker in _queued([outer, *inner], X_BYSTANDER)]


def _extra(point: str, fields: Event) -> Record:
    return "extras", fields | {"point": RECORD_POINTS.index(point)}


def _queued(events: list[Event], bits: int) -> list[tuple[Record, Event | None]]:
    """The queued messages, each with the call that made it."""
    found: list[tuple[Record, Event | None]] = []
    for place, event in enumerate(events):
        if event["point"] != "__netlink_sendskb":
            continue
        makers = [e for e in events[:place] if e["point"] in _MAKERS and e["kind"] == 1
                  and e["direction"] in (0, 2) and e["depth"] < event["depth"]
                  and e["end_ns"] >= event["end_ns"]]  # fmt: skip
        maker = makers[-1] if makers else None
        last = X_LAST if maker and maker["point"] == "netlink_dump" and maker["flags"] & 1 else 0
        fields = _picked(event, *_HEADER, "skb", "ret") | {
            "start_ns": maker["start_ns"] if maker else event["start_ns"],
            "end_ns": event["start_ns"],
            "source": _MAKERS[maker["point"]] if maker else BY_OTHER,
            "bits": bits | last,
        }
        found.append((_extra("queued", fields), maker))
    return found


def _send(outer: Event, inner: list[Event]) -> list[Record]:
    first = next(e for e in inner if e["point"] == "netlink_unicast" and e["kind"] == 1)
    further = [e for e in inner if e["kind"] == KIND_MESSAGE]
    handlers = [e for e in inner if e["point"] == "msgchan_handler"]
    own = next((e for e in handlers if e["seq"] == first["seq"]), None)
    send = _picked(first, *_HEADER) | {
        "enter_ns": outer["start_ns"], "unicast_ns": first["start_ns"], "exit_ns": outer["end_ns"],
        "ret": outer["ret"], "buffer": first["size"], "dst": 0, "reply_skb": -1,
        "bits": S_SEVERAL if further else 0,
    }  # fmt: skip
    records = [_extra("message", _picked(e, *_HEADER, "start_ns", "end_ns") | {"bits": X_SENDING})
               for e in further]  # fmt: skip
    begun = next((e for e in inner if e["point"] == "netlink_rcv_skb"), own)
    if begun:
        send |= {"begin_ns": begun["start_ns"], "bits": send["bits"] | S_BEGUN}
    if own:
        send |= {"done_ns": own["end_ns"], "token": own["token"], "error": own["ret"],
                 "channel": own["proto"], "bits": send["bits"] | S_DONE | S_MODULE}  # fmt: skip
    answers = _queued(inner, X_SENDING)
    if first["direction"] == TO_PEER:
        send["dst"] = answers[0][0][1]["portid"] if answers else 1
    kept = answers[0] if answers and not further else None
    if kept and not _fits(send, kept):
        kept = None
    if kept:
        _answer(send, *kept)
        answers = answers[1:]
    made = {id(maker) for _record, maker in _queued(inner, 0)}
    if any(e["point"] in _MAKERS and e["direction"] == 2 and e["portid"] == first["portid"]
           and id(e) not in made for e in inner):  # fmt: skip
        send["bits"] |= S_TRIED
    rest = [(record[1]["end_ns"], record) for record, _maker in answers]
    rest += [(e["end_ns"], _extra("handled", _picked(e, *_HEADER, "start_ns", "end_ns", "token",
              "ret") | {"bits": X_SENDING, "netns": first["netns"], "proto": first["proto"],
              "channel": e["proto"]})) for e in handlers if e is not own]  # fmt: skip
    records += [record for _at, record in sorted(rest, key=lambda pair: pair[0])]
    return [*records, ("send_calls", send)]


def _fits(send: Event, answer: tuple[Record, Event | None]) -> bool:
    """Whether the record of the send call itself tells of this answer."""
    (_kind, queued), maker = answer
    if send["dst"]:
        return True
    same = all(send[name] == queued[name] for name in ("portid", "proto", "seq"))
    return same and not (maker and maker["point"] == "netlink_broadcast")


def _answer(send: Event, record: Record, maker: Event | None) -> None:
    queued = record[1]
    send |= {
        "queued_ns": queued["end_ns"], "reply_skb": queued["skb"], "reply_size": queued["size"],
        "reply_type": queued["type"], "reply_flags": queued["flags"],
        "reply_error": queued["ret"], "bits": send["bits"] | S_QUEUED,
    }  # fmt: skip
    if maker and maker["point"] == "netlink_dump":
        send["bits"] |= S_DUMP | (S_LAST if queued["bits"] & X_LAST else 0)
        send.setdefault("begin_ns", maker["start_ns"])
    elif maker and not send["bits"] & S_MODULE:
        send |= {"done_ns": maker["start_ns"], "bits": send["bits"] | S_DONE}


def _receive(outer: Event, inner: list[Event]) -> list[Record]:
    record = _picked(outer, *_WHO, "portid", "proto", "flags", "ret", "size") | {
        "enter_ns": outer["start_ns"], "exit_ns": outer["end_ns"], "skb": -1, "bits": 0,
    }  # fmt: skip
    for copy in (e for e in inner if e["point"] == "skb_copy_datagram_iter"):
        record |= _picked(copy, "skb", "size", "portid", "proto", "netns")
        record |= {"copy_ns": copy["start_ns"], "copied_ns": copy["end_ns"],
                   "bits": R_COPY | R_COPIED}  # fmt: skip
    return [*(queued for queued, _maker in _queued(inner, X_RECEIVING)), ("recv_calls", record)]


def _option(outer: Event, inner: list[Event]) -> list[Record]:
    nf = next(e for e in inner if e["point"].startswith("nf_"))
    record = _picked(outer, "tid", "tgid", "cpu", "ret") | {
        "enter_ns": outer["start_ns"], "exit_ns": outer["end_ns"], "nf_ns": nf["start_ns"],
        "left_ns": nf["end_ns"], "netns": nf["netns"], "optname": nf["type"], "size": nf["size"],
        "sock": nf["sock"], "point": RECORD_POINTS.index(outer["point"]), "bits": O_LEFT,
    }  # fmt: skip
    for handler in (e for e in inner if e["point"] == "msgchan_handler"):
        record |= {"begin_ns": handler["start_ns"], "done_ns": handler["end_ns"],
                   "token": handler["token"], "error": handler["ret"],
                   "bits": record["bits"] | O_MODULE | O_BEGUN | O_DONE}  # fmt: skip
    own = [e for e in inner if e["point"] == "msgchan_copy"]
    seen = [e for e in inner if e["point"] == "copy_to_user"]
    copies = own or (seen if not record["bits"] & O_MODULE else [])
    if copies:
        record |= {"copy_ns": copies[0]["start_ns"], "copied_ns": copies[0]["end_ns"],
                   "copied": copies[0]["size"],
                   "bits": record["bits"] | O_COPY | O_COPIED}  # fmt: skip
    more = [e for e in seen if e not in copies[:1]]
    extras = [
        _extra("copy", _picked(e, *_WHO, "start_ns", "end_ns", "size", "ret", "portid"))
        for e in more
    ]
    return [*extras, ("opt_calls", record)]
