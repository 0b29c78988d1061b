# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plan does not show is declared."""

from __future__ import annotations

from typing import Any

import pandas as pd
from recording_copies import (
    Copy,
    middle,
    removed,
)


def test_what_the_plan_left_out_is_declared(copy: Copy) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["plan"][0]["site"] = "absent"

    copy.meta(change)
    row = copy.line("not watched")
    assert (row["ok"], row["count"], row["note"]) == (True, 1, "io_uring, __sys_sendto")


def test_getsockopts_whose_copy_nobody_saw_are_declared(copy: Copy, events: pd.DataFrame) -> None:
    copy.rows("events", removed(middle(events["point"] == "msgchan_copy")))
    row = copy.line("not watched")
    assert (row["ok"], row["count"]) == (True, 1)
    assert row["note"].startswith("io_uring, the copy of 1 getsockopts (by module_tracepoint")
