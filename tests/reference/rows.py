# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows that the reference matcher makes of what :mod:`matcher` joined, with their stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joined import Datagram, Joined, Request

Record = dict[str, Any]
Row = dict[str, Any]
Piece = tuple[str, int, int]

STAGES = (
    "encode", "send_entry", "entry", "deliver", "handler", "reply", "queue", "wake", "copy",
    "recv_exit", "exit", "send_exit", "decode",
)  # fmt: skip
#: The columns of a row, but for its stages.
COLUMNS = (
    "channel", "tid", "tgid", "netns", "proto", "portid", "seq", "msg_type", "optname", "level",
    "request_bytes", "reply_bytes", "copied_bytes", "replies", "errno", "status", "match",
    "logged", "buffer", "start_ns", "total_ns", "unexplained_ns", "send_return_ns",
    "first_reply_ns",
)  # fmt: skip
CHANNELS = ("netlink", "setsockopt", "getsockopt", "notify")
R_COPIED = 0x2


class Pieces:
    """The times that an exchange was in a stage; those with an unknown edge are left out."""

    def __init__(self) -> None:
        self.found: list[Piece] = []

    def add(self, stage: str, start: int | None, end: int | None) -> None:
        """From ``start`` to ``end`` it was in this stage."""
        if start is not None and end is not None:
            self.found.append((stage, start, end))


def latest(*times: int | None) -> int | None:
    """The latest of the times that are known."""
    return max((time for time in times if time is not None), default=None)


def finish(row: Row, pieces: Pieces, end: int | None) -> Row:
    """Fill in the stages and the total; a stage that would be negative leaves none at all."""
    start = row["start_ns"]
    last = max([start if end is None else end, *(piece[2] for piece in pieces.found)])
    whole = all(piece[2] >= piece[1] for piece in pieces.found)
    for stage in STAGES:
        mine = [piece[2] - piece[1] for piece in pieces.found if piece[0] == stage]
        row[f"{stage}_ns"] = sum(mine) if mine and whole else None
    row["total_ns"] = last - start
    row["unexplained_ns"] = row["total_ns"] - sum(row[f"{stage}_ns"] or 0 for stage in STAGES)
    return dict.fromkeys(COLUMNS) | row


def unlogged(row: Row, sends: list[Record]) -> Row:
    """The row with the status of one that should be in the user's log and is not."""
    for entry in sends:
        if entry["tgid"] != row["tgid"]:
            continue
        if row["optname"] is None:
            same = entry["kind"] in (0, 1) and entry["proto"] == row["proto"]
            same = same and entry["portid"] == row["portid"]
        else:
            same = entry["kind"] == 2 and CHANNELS[entry["channel"]] == row["channel"]
            same = same and entry["type"] == row["optname"]
        if same:
            return row | {"status": "unmatched_kernel"}
    return row


def heard(datagram: Datagram, sends: list[Record]) -> Record | None:
    """The entry of the user's log that tells of the receive call that took a message."""
    call = datagram.taken
    if call is None:
        return None
    found = None
    for entry in sends:
        if (
            entry["kind"] == 1
            and entry["tid"] == call["tid"]
            and (entry["portid"], entry["seq"]) == (datagram.socket[2], datagram.seq or 0)
            and entry["begin_ns"] <= call["enter_ns"]
            and (found is None or entry["begin_ns"] >= found["begin_ns"])
        ):
            found = entry
    return found if found is not None and found["end_ns"] >= call["exit_ns"] else None


def copied_ns(call: Record) -> int:
    """When a receive call had copied the message."""
    return int(call["copied_ns"] if call["bits"] & R_COPIED else call["copy_ns"])


def waited(joined: Joined, datagram: Datagram, since: int) -> bool:
    """Whether the reader waited for a message already when it was queued, or at ``since``."""
    call, at = datagram.taken, datagram.queued_ns
    assert call is not None
    if call["enter_ns"] <= since or _polled(joined, call, at):
        return True
    waiting = [
        peek for peek in datagram.peeks if peek["enter_ns"] <= at or _polled(joined, peek, at)
    ]
    # Of several threads that waited in a peek only the one that began first counts.
    first = min(waiting, key=lambda peek: (peek["enter_ns"], peek["order"]), default=None)
    return first is not None and bool(first["tid"] == call["tid"])


def _polled(joined: Joined, call: Record, at: int) -> bool:
    """Whether the thread of this receive call polled its socket then, and read nothing since."""
    who = ("tid", "netns", "proto", "portid")
    mine = [call[name] for name in who]
    polls = [
        poll for poll in joined.polls
        if [poll[name] for name in who] == mine and poll["start_ns"] < call["enter_ns"]
    ]  # fmt: skip
    if not polls:
        return False
    poll = max(polls, key=lambda record: (record["start_ns"], record["order"]))
    between = [
        other for other in joined.receives
        if [other[name] for name in who] == mine
        and poll["start_ns"] < other["enter_ns"] < call["enter_ns"]
    ]  # fmt: skip
    return bool(poll["start_ns"] <= at <= poll["end_ns"] and not between)


def add_way(pieces: Pieces, joined: Joined, datagram: Datagram, free: int | None = None) -> int:
    """Add the stages from the queue to the copy; returns when the message lay there for its reader.

    That is not before ``free``, when the reader had copied the message before it.
    """
    lay = datagram.queued_ns if free is None else max(datagram.queued_ns, free)
    call = datagram.taken
    if call is not None:
        asked = lay if waited(joined, datagram, lay) else call["enter_ns"]
        pieces.add("queue", lay, asked)
        pieces.add("wake", asked, call["copy_ns"])
        pieces.add("copy", call["copy_ns"], copied_ns(call))
    return lay


def add_end(pieces: Pieces, datagram: Datagram, entry: Record | None, lay: int) -> int | None:
    """Add the stages after the last copy; returns when all was over."""
    call = datagram.taken
    if call is None:
        return lay
    pieces.add("recv_exit", copied_ns(call), call["exit_ns"])
    if entry:
        pieces.add("decode", call["exit_ns"], entry["end_ns"])
    return latest(lay, copied_ns(call), call["exit_ns"], entry and entry["end_ns"])


def in_turn(request: Request) -> list[Datagram]:
    """The answers in the order in which they were read, to the one that completes the request."""
    read = [d for d in request.answers if d.taken is not None]
    unread = [d for d in request.answers if d.taken is None]
    read.sort(key=lambda d: d.taken["copy_ns"] if d.taken else 0)
    unread.sort(key=lambda d: d.queued_ns)
    found = []
    for datagram in [*read, *unread]:
        found.append(datagram)
        if request.completed_by(datagram):
            break
    return found


def _about(request: Request, channel: str, sends: list[Record], entry: Record | None) -> Row:
    """What is known of a message when it is sent."""
    netns, proto, portid = request.socket
    call = request.call
    start = call.record["enter_ns"] if call else request.unicast_ns
    return {
        "channel": channel, "tid": request.tid, "tgid": request.tgid, "netns": netns,
        "proto": proto, "portid": portid, "seq": request.seq, "msg_type": request.type,
        "optname": None, "request_bytes": request.size, "logged": entry is not None,
        "buffer": call.number if call else None,
        "start_ns": entry["begin_ns"] if entry else start,
    }  # fmt: skip


def _outward(pieces: Pieces, request: Request, entry: Record | None) -> None:
    """The stages until a handler begins."""
    if request.call:
        enter = request.call.record["enter_ns"]
        pieces.add("encode", entry and entry["begin_ns"], enter)
        pieces.add("send_entry", enter, request.unicast_ns)


def _handling(pieces: Pieces, request: Request, parts: list[Datagram]) -> None:
    """The stages until the first answer is queued, or until the send call returns."""
    leave = request.call.record["exit_ns"] if request.call else None
    pieces.add("deliver", request.unicast_ns, request.arrival_ns)
    if not parts and request.handler:
        pieces.add("handler", request.begin_ns, request.handler[1])
        pieces.add("send_exit", request.handler[1], leave)
    elif not parts:
        pieces.add("handler", request.begin_ns, leave)
    else:
        lay = parts[0].queued_ns
        done = request.handler[1] if request.handler else lay
        if not request.handler and parts[0].source == "unicast":
            done = parts[0].source_ns
        pieces.add("handler", request.begin_ns, min(done, lay))
        if done < lay:
            pieces.add("reply", done, lay)


def _reading(
    pieces: Pieces, joined: Joined, parts: list[Datagram], entry: Record | None
) -> int | None:
    """The stages of the answers from the queue to the reader; returns when all was over."""
    free: int | None = None
    lay = 0
    for datagram in parts:
        if free is not None and datagram.queued_ns > free:
            # It was made after the part before had been read, as dumps go on in receive calls.
            making = max(datagram.source_ns, free) if datagram.source == "dump" else free
            pieces.add("recv_exit", free, making)
            pieces.add("handler", making, datagram.queued_ns)
        lay = add_way(pieces, joined, datagram, free)
        free = copied_ns(datagram.taken) if datagram.taken is not None else None
    return add_end(pieces, parts[-1], entry, lay)


def _answered(row: Row, request: Request, parts: list[Datagram]) -> None:
    """Sizes and numbers of the answers, and the error."""
    taken = [d.taken for d in request.answers if d.taken is not None]
    row["replies"] = len(request.answers)
    row["reply_bytes"] = sum(d.size for d in request.answers)
    row["copied_bytes"] = sum(call["size"] for call in taken)
    carried = max((-d.error for d in request.answers), default=0)
    handled = -request.handler[2] if request.handler else 0
    sent = -request.call.record["ret"] if request.call else 0
    row["errno"] = next((error for error in (carried, handled, sent) if error > 0), 0)
    first = min(request.answers, key=lambda d: d.queued_ns, default=None)
    row["match"] = first.how if first else None
    if parts and parts[0].taken is not None:
        row["first_reply_ns"] = parts[0].taken["exit_ns"] - row["start_ns"]
    if parts and request.call:
        after = request.call.record["exit_ns"] - parts[0].queued_ns
        row["send_return_ns"] = after if after >= 0 else None


def _status(request: Request, parts: list[Datagram], errno: int) -> str:
    """How a request ended."""
    read = [d for d in parts if d.taken is not None]
    if request.lost:
        return "lost"
    if not request.expects or (read and request.completed_by(read[-1])):
        return "error" if errno else "ok"
    if read:
        return "partial"
    return "error" if errno else "unanswered"


def request_row(joined: Joined, request: Request, entry: Record | None, sends: list[Record]) -> Row:
    """The row of a message to the kernel."""
    row = _about(request, "netlink", sends, entry)
    parts, pieces = in_turn(request), Pieces()
    _outward(pieces, request, entry)
    _handling(pieces, request, parts)
    _answered(row, request, parts)
    row["status"] = _status(request, parts, row["errno"])
    end = request.call.record["exit_ns"] if request.call else None
    if parts:
        receive = heard(parts[-1], sends)
        row["logged"] = row["logged"] or receive is not None
        end = _reading(pieces, joined, parts, receive)
    return finish(row if entry else unlogged(row, sends), pieces, end)


def dump_row(joined: Joined, request: Request, sends: list[Record]) -> Row:
    """The row of a dump that goes on, but whose request was not recorded."""
    row = _about(request, "netlink", sends, None)
    parts, pieces = in_turn(request), Pieces()
    pieces.add("handler", request.unicast_ns, parts[0].queued_ns)
    _answered(row, request, parts)
    receive = heard(parts[-1], sends)
    row["logged"] = receive is not None
    row["status"] = "partial"
    return finish(row, pieces, _reading(pieces, joined, parts, receive))


def peer_row(
    joined: Joined, request: Request, datagram: Datagram | None, place: int,
    entry: Record | None, sends: list[Record],
) -> Row:  # fmt: skip
    """The row of a message to another process; ``place`` is that of the message in its buffer."""
    row, pieces = _about(request, "peer", sends, entry), Pieces()
    _outward(pieces, request, entry)
    assert request.call is not None
    row["errno"] = max(-request.call.record["ret"], 0)
    row |= {"replies": 0, "copied_bytes": 0, "match": None}
    end: int | None = request.call.record["exit_ns"]
    read = place > 0
    if datagram:
        row |= {"replies": 1, "match": "nested"}
        pieces.add("reply", request.unicast_ns, datagram.queued_ns)
        receive = heard(datagram, sends)
        row["logged"] = row["logged"] or receive is not None
        end = add_end(pieces, datagram, receive, add_way(pieces, joined, datagram))
        if datagram.taken is not None:
            read = True
            row["copied_bytes"] = datagram.taken["size"]
    row["status"] = "error" if row["errno"] else "ok" if read else "unanswered"
    return finish(row if entry else unlogged(row, sends), pieces, end)


def notice_row(joined: Joined, datagram: Datagram, sends: list[Record]) -> Row:
    """The row of a message that answers nothing."""
    netns, proto, portid = datagram.socket
    call, pieces = datagram.taken, Pieces()
    receive = heard(datagram, sends)
    row = {
        "channel": "notify", "tid": call and call["tid"], "tgid": call and call["tgid"],
        "netns": netns, "proto": proto, "portid": portid, "seq": datagram.seq,
        "msg_type": datagram.type, "request_bytes": 0, "reply_bytes": datagram.size,
        "copied_bytes": call["size"] if call else 0, "replies": 1, "errno": 0,
        "status": "ok" if call else "unanswered", "logged": receive is not None,
    }  # fmt: skip
    row["start_ns"] = datagram.source_ns if datagram.source != "other" else datagram.queued_ns
    pieces.add("reply", row["start_ns"], datagram.queued_ns)
    end = add_end(pieces, datagram, receive, add_way(pieces, joined, datagram))
    return finish(row, pieces, end)


def unseen_row(entry: Record) -> Row:
    """The row of an entry of the user's log that tells of a call that was not recorded."""
    netlink = entry["kind"] == 0
    row = {
        "channel": CHANNELS[entry["channel"]], "tid": entry["tid"], "tgid": entry["tgid"],
        "request_bytes": entry["size"], "reply_bytes": 0, "copied_bytes": 0, "replies": 0,
        "errno": entry["errno"], "status": "unmatched_user", "logged": True,
        "start_ns": entry["begin_ns"],
    }  # fmt: skip
    if netlink:
        row |= {name: entry[name] for name in ("proto", "portid", "seq")}
    row["msg_type" if netlink else "optname"] = entry["type"]
    return finish(row, Pieces(), entry["end_ns"])
