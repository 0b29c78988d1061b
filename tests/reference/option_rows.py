# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows that the reference matcher makes of setsockopt and getsockopt calls."""

from __future__ import annotations

from rows import Pieces, Record, Row, finish, latest, unlogged

LEVELS = {2: 0, 10: 41}
SET = 3
O_BEGUN, O_DONE, O_COPY, O_COPIED, O_MODULE, O_LEFT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def option_row(call: Record, extras: list[Record], sends: list[Record], used: set[int]) -> Row:
    """The row of a setsockopt or getsockopt; ``extras`` are the copies of all."""
    is_set, bits = call["point"] == SET, call["bits"]
    number = _option_entry(call, sends)
    entry = None if number is None else sends[number]
    used.update([] if number is None else [number])
    left = call["left_ns"] if bits & O_LEFT else call["exit_ns"]
    size = call["size"] if call["ret"] >= 0 or is_set else 0
    row = {
        "channel": "setsockopt" if is_set else "getsockopt", "tid": call["tid"],
        "tgid": call["tgid"], "netns": call["netns"], "optname": call["optname"],
        "level": LEVELS.get(call["pf"]), "request_bytes": size if is_set else 0,
        "reply_bytes": 0 if is_set else size, "replies": 0, "errno": max(-call["ret"], 0),
        "status": "error" if call["ret"] < 0 else "ok", "logged": entry is not None,
        "start_ns": entry["begin_ns"] if entry else call["enter_ns"],
    }  # fmt: skip
    pieces = Pieces()
    module = bits & O_MODULE
    begin = call["begin_ns"] if module and bits & O_BEGUN else call["nf_ns"]
    pieces.add("encode", entry and entry["begin_ns"], call["enter_ns"])
    pieces.add("entry", call["enter_ns"], begin)
    done = (call["done_ns"] if bits & O_DONE else begin) if module else left
    copies = _copies(call, extras, left)
    row["copied_bytes"] = sum(size for _start, _end, size, _whole in copies)
    leaves: int | None = done
    free: int | None = begin
    for start, end, _size, whole in copies:
        pieces.add("handler", free, start)
        pieces.add("copy", start if whole else None, end)
        free, leaves = end, end if whole else None
    if not copies:
        pieces.add("handler", begin, done)
    pieces.add("exit", leaves, call["exit_ns"])
    pieces.add("decode", call["exit_ns"], entry and entry["end_ns"])
    end = latest(left, call["exit_ns"], entry and entry["end_ns"])
    return finish(row if entry else unlogged(row, sends), pieces, end)


def _option_entry(call: Record, sends: list[Record]) -> int | None:
    """The number of the log's entry of a socket-option call."""
    channel = 1 if call["point"] == SET else 2
    found = None
    for number, entry in enumerate(sends):
        if entry["kind"] == 2 and (entry["channel"], entry["tid"]) == (channel, call["tid"]):
            before = found is None or entry["begin_ns"] >= sends[found]["begin_ns"]
            if entry["begin_ns"] <= call["enter_ns"] and before:
                found = number
    return found if found is not None and sends[found]["end_ns"] >= call["exit_ns"] else None


def _copies(call: Record, extras: list[Record], left: int) -> list[tuple[int, int, int, bool]]:
    """Begin, end and size of the copies of a call's value, and whether their end was seen."""
    bits = call["bits"]
    found = []
    own = bool(bits & O_MODULE and bits & O_COPY)
    if bits & O_COPY:
        end = call["copied_ns"] if bits & O_COPIED else call["copy_ns"]
        found.append((call["copy_ns"], end, call["copied"], own or end > call["copy_ns"]))
    if not own:
        found += [
            (x["start_ns"], x["end_ns"], x["size"], x["end_ns"] > x["start_ns"])
            for x in extras
            if x["tid"] == call["tid"] and call["nf_ns"] <= x["start_ns"] <= left
        ]
    return sorted(found, key=lambda copy: copy[0])
