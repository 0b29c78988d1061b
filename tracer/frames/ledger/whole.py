# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger lines about the recording as a whole: what is missing, and what it cannot show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd

from tracer.frames.ledger.line import Line, compared, none_expected
from tracer.recording.witnesses import seal


def presence(meta: dict[str, Any], gaps: list[str]) -> Iterator[Line]:
    """Whether ``meta.json`` has all that the plan requires (``gaps``: not), and is unchanged."""
    told = gaps if len(gaps) < 6 else [*gaps[:5], f"{len(gaps) - 5} more"]
    if gaps and not meta["clean"]:
        told = [*told, "the recording was not closed"]
    yield none_expected("witnesses missing", "meta.json", len(gaps), ", ".join(told))
    if meta.get("seal"):
        altered = meta["seal"] != seal(meta)
        note = "it was changed after it was written" if altered else ""
        yield none_expected("meta.json altered", "seal", int(altered), note)
    if (meta.get("clock") or {}).get("deterministic"):
        # With several processors, each would count its own instructions.
        cpus = int(meta.get("cpus") or 0)
        yield compared("processors", "recorder", cpus, "clock that counts instructions", 1)


def open_calls(meta: dict[str, Any]) -> Iterator[Line]:
    """The calls that had not returned when tracing stopped: they have no records."""
    calls = (meta.get("end") or {}).get("open") or []
    if calls:
        threads = len({call["tid"] for call in calls})
        points = Counter(call["point"] for call in calls)
        told = ", ".join(f"{point} {number}" for point, number in points.items())
        note = f"{told}; of {threads} {'thread' if threads == 1 else 'threads'}"
        number = len(calls)
        yield Line("calls open at the end", "probes", number, "declared", number, 0, True, note)


def unwatched(meta: dict[str, Any], exchanges: pd.DataFrame) -> Iterator[Line]:
    """What this plan does not observe. The line only informs and is always ok."""
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
