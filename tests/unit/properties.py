# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold of every recording that the suite makes or replays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracer.correlate.stages import STAGES
from tracer.run import Run

#: The share of msgchan exchanges that a full plan may leave not wholly explained.
UNEXPLAINED_SHARE = 0.001


def check(run: Run, *, full: bool = True) -> None:
    """The ledger balances, stages partition, tokens agree; ``full``: the plan saw everything."""
    assert run.trusted, run.ledger[~run.ledger["ok"]].to_string()
    check_sums(run)
    check_partition(run)
    check_tokens(run)
    if full:
        ours = run.exchanges[run.exchanges["name"].str.startswith("msgchan")]
        unexplained = (ours["unexplained_ns"] != 0).sum()
        assert unexplained <= UNEXPLAINED_SHARE * len(ours), ours[ours["unexplained_ns"] != 0]


def check_sums(run: Run) -> None:
    """No negative stage, and every row adds up exactly."""
    exchanges = run.exchanges
    stages = exchanges[[f"{stage}_ns" for stage in STAGES]]
    assert not (stages < 0).any(axis=None)
    assert (exchanges["unexplained_ns"] >= 0).all()
    total = stages.sum(axis=1) + exchanges["unexplained_ns"]
    assert (total == exchanges["total_ns"]).all()
    by_row = run.stages.groupby("exchange")["dur_ns"].sum()
    assert (stages.sum(axis=1)[by_row.index] == by_row).all()


def check_partition(run: Run) -> None:
    """Each nanosecond belongs to at most one stage, and neighbours share their boundary."""
    stages = run.stages.sort_values(["exchange", "start_ns", "dur_ns"], kind="stable")
    exchange = stages["exchange"].to_numpy()
    start, end = stages["start_ns"].to_numpy(), (stages["start_ns"] + stages["dur_ns"]).to_numpy()
    same = exchange[1:] == exchange[:-1]
    gap = (start[1:] - end[:-1])[same]
    assert (gap >= 0).all(), "stages overlap"
    whole = (run.exchanges["unexplained_ns"] == 0).to_numpy()
    assert (gap[whole[exchange[1:][same]]] == 0).all(), "a gap within a row that is all explained"


def check_tokens(run: Run) -> None:
    """The token that the module's handler reported is the one in the user's log.

    Joined here by the order of calls per thread or socket, not by the code under test.
    """
    sends = run.sends.assign(order=0)
    handlers = run.events[run.events["point"] == "msgchan_handler"]
    for code, channel in ((0, 2), (1, 0), (2, 1)):
        key = ["portid", "seq"] if code == 0 else ["tid"]
        said = sends[(sends["channel"] == code) & sends["kind"].isin([0, 2])]
        said = said[said["proto"].isin([0, 30])] if code == 0 else said
        heard = handlers[handlers["proto"] == channel]
        if said.empty or len(said) != len(heard):
            continue
        left = _numbered(said.sort_values("begin_ns"), key)
        right = _numbered(heard.sort_values("start_ns"), key)
        both = left.merge(right, on=[*key, "number"], suffixes=("_said", "_heard"))
        assert len(both) == len(said)
        np.testing.assert_array_equal(both["token_said"], both["token_heard"])


def _numbered(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    return frame.assign(number=frame.groupby(key).cumcount())[[*key, "number", "token"]]
