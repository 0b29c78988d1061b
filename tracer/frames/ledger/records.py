# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about records, on their way from the probes over the decoder to the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tracer.event import POINTS_OF_KIND, RECORD_POINTS
from tracer.frames.ledger.line import Line, compared, none_expected, unknown
from tracer.recording import RECORD_KINDS, row_sum
from tracer.recording.witnesses import watched

#: By point of a record, the points of the plan of which at least one must be watched; a record of
#: a task needs none.
_NEEDS = {
    "send": ("netlink_sendmsg",),
    "recv": ("netlink_recvmsg",),
    "setsockopt": ("setsockopt",),
    "getsockopt": ("getsockopt",),
    "message": ("netlink_unicast",),
    "handled": ("msgchan_handler",),
    "queued": ("__netlink_sendskb",),
    "copy": ("copy_to_user", "msgchan_copy"),
    "poll": ("poll",),
    "overrun": ("netlink_overrun",),
}


def records(meta: dict[str, Any], rows: Mapping[str, pd.DataFrame]) -> Iterator[Line]:
    """For each point, how many records its probe wrote, and how many the decoder got.

    The sums of their checksums must agree as well, so that a record in which anything was changed
    on the way through the ring is noticed.
    """
    seen = watched(meta)
    on_disk = _found(rows)
    for point in RECORD_POINTS:
        name = f"records of {point}"
        account, decoded = meta["accounts"].get(point), meta["decoded"].get(point)
        if account is None or decoded is None:
            if on_disk.get(point):
                yield unknown(meta, name, "probe", "recording", on_disk[point])
            continue
        if not account["emitted"] and not decoded["count"]:
            continue
        wrong = ["their checksums differ"] * (account["checksum"] != decoded["checksum"])
        if point in _NEEDS and not seen.intersection(_NEEDS[point]):
            wrong.append("the plan does not watch it")
        line = compared(
            name, "probe", account["emitted"], "decoder", decoded["count"], "; ".join(wrong)
        )
        yield replace(line, ok=line.ok and not wrong)


def rows_of(meta: dict[str, Any], rows: Mapping[str, pd.DataFrame]) -> Iterator[Line]:
    """For each kind, how many rows the decoder made of records, and how many the recording holds.

    The decoder hashed all their columns, and that is done again here. So any value that was changed
    on the disk is noticed, also one that was exchanged with that of another row.
    """
    for kind, number in RECORD_KINDS.items():
        name, here = f"rows of {kind}", rows[kind]
        made = meta["rows"].get(kind)
        if made is None:
            if len(here):
                yield unknown(meta, name, "decoder", "recording", len(here))
            continue
        parts = [meta["decoded"].get(RECORD_POINTS[code]) for code in POINTS_OF_KIND[number]]
        taken = sum(part["count"] for part in parts if part is not None)
        if not made["count"] and not len(here) and not taken:
            continue
        wrong = ["their checksums differ"] * (row_sum(kind, here)["checksum"] != made["checksum"])
        if taken != made["count"] and None not in parts:
            wrong.append(f"they were made of {taken} records")
        line = compared(name, "decoder", made["count"], "recording", len(here), "; ".join(wrong))
        yield replace(line, ok=line.ok and not wrong)


def _found(rows: Mapping[str, pd.DataFrame]) -> dict[str, int]:
    """By point, how many records the rows of the recording were made of."""
    found = {"send": len(rows["send_calls"]), "recv": len(rows["recv_calls"])}
    found["task"] = len(rows["tasks"])
    for kind in ("opt_calls", "extras"):
        codes, counts = np.unique(rows[kind]["point"].to_numpy(), return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            if code < len(RECORD_POINTS):
                found[RECORD_POINTS[code]] = count
    return found


def losses(meta: dict[str, Any], gaps: list[str]) -> Iterator[Line]:
    """Records that did not reach the recording, and calls that the probes missed."""
    accounts = meta["accounts"]
    is_unknown = any(gap.split(".")[0] == "accounts" for gap in gaps)
    plan = meta.get("plan") or []
    copies = [row["site"] for row in plan if row["point"] == "copy_to_user"]
    full = "use a larger --ring-size"
    if accounts.get("copy", {}).get("lost") and "breakpoint" in copies:
        # Its program runs as in an NMI, where __bpf_ringbuf_reserve() only tries the lock.
        full += "; a breakpoint also loses a copy while another CPU writes, --copy relay does not"
    for name, key, hint in (
        ("ring full", "lost", full),
        ("returns missed", "missed", "kretprobes without a free instance, or nested too deep"),
    ):
        at = [f"{point} {a[key]}" for point, a in accounts.items() if a[key]]
        total = sum(a[key] for a in accounts.values())
        if is_unknown:
            yield unknown(meta, name, "probes", "none expected", 0)
        else:
            yield none_expected(name, "probes", total, f"{', '.join(at)}; {hint}" if at else "")
    odd = meta.get("not_understood")
    if odd is None:
        yield unknown(meta, "records not understood", "ring", "none expected", 0)
    else:
        yield none_expected("records not understood", "ring", odd["count"], odd["first"])
    for name, key in (("recursion misses", "recursion_misses"), ("kprobe misses", "kprobe_misses")):
        if key in meta["losses"]:
            yield none_expected(name, "kernel", meta["losses"][key])
        else:
            yield unknown(meta, name, "kernel", "none expected", 0)
