# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about records: how many the probes wrote, lost, and the recording holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tracer.event import CODE, POINTS
from tracer.frames.ledger.line import Line, compared, none_expected, unknown
from tracer.recording.witnesses import watched


def records(meta: dict[str, Any], events: pd.DataFrame, tasks: pd.DataFrame) -> Iterator[Line]:
    """For each point, how many records its probe wrote, and how many the recording holds.

    The sums of their times (modulo 2**64) must agree as well, so that a record whose times were
    changed is noticed.
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
                yield unknown(meta, f"records of {point}", "probe", "recording", found)
            continue
        if not found and not account["emitted"]:
            continue
        shift = (total - account["time_sum"] + 2**63) % 2**64 - 2**63
        wrong = [f"times differ by {shift} ns in sum"] * bool(shift)
        wrong += ["the plan does not watch it"] * (point not in planned)
        line = compared(
            f"records of {point}",
            "probe",
            account["emitted"],
            "recording",
            found,
            "; ".join(wrong),
        )
        yield replace(line, ok=line.ok and not wrong)


def losses(meta: dict[str, Any], gaps: list[str]) -> Iterator[Line]:
    """Records that did not reach the recording, and calls that the probes missed."""
    accounts = meta["accounts"]
    is_unknown = any(gap.split(".")[0] == "accounts" for gap in gaps)
    plan = meta.get("plan") or []
    copies = [row["site"] for row in plan if row["point"] == "copy_to_user"]
    full = "use a larger --ring-size"
    if accounts.get("copy_to_user", {}).get("lost") and "breakpoint" in copies:
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
    if odd is None and meta["schema"] >= 2:
        yield unknown(meta, "records not understood", "ring", "none expected", 0)
    else:
        odd = odd or {"count": 0, "first": ""}
        yield none_expected("records not understood", "ring", odd["count"], odd["first"])
    for name, key in (("recursion misses", "recursion_misses"), ("kprobe misses", "kprobe_misses")):
        if key in meta["losses"]:
            yield none_expected(name, "kernel", meta["losses"][key])
        else:
            yield unknown(meta, name, "kernel", "none expected", 0)
