# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plan does not show is declared."""

from __future__ import annotations

from typing import Any

import pandas as pd
from recording_copies import Copy, middle

from tracer.event import O_COPY


def test_what_the_plan_left_out_is_declared(copy: Copy) -> None:
    def change(meta: dict[str, Any]) -> None:
        (row,) = (row for row in meta["plan"] if row["point"] == "netlink_broadcast")
        row["site"] = "absent"

    copy.meta(change)
    row = copy.line("not watched")
    assert (row["ok"], row["count"], row["note"]) == (True, 1, "io_uring, netlink_broadcast")


def test_getsockopts_whose_copy_nobody_saw_are_declared(copy: Copy) -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        bits = frame["bits"].to_numpy(copy=True)
        bits[middle((frame["bits"] & O_COPY) != 0)] &= 0xFFFF - O_COPY
        return frame.assign(bits=bits)

    copy.recorded("opt_calls", change)
    assert copy.bad() == []
    row = copy.line("not watched")
    assert (row["ok"], row["count"]) == (True, 1)
    assert row["note"].startswith("io_uring, the copy of 1 getsockopts (by fentry")
