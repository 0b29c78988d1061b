# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left of a run when it is reduced to its quantiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_builder import ECHO, exchanges, record, times
from scipy.stats import binom

import tracer
from tracer.compare.digest import KEY, MINIMUM, QUANTILES, VALUES, digest, quantile_lines, tails
from tracer.tables import stage_table


def test_a_recording_s_digest(tmp_path: Path) -> None:
    stage_times = times(np.random.default_rng(1), 41)
    run = tracer.load(record(tmp_path / "a", stage_times))
    found = digest(run)
    assert found.lines.index.names == KEY
    assert found.lines.columns.tolist() == VALUES
    pd.testing.assert_frame_equal(found.lines, quantile_lines(exchanges(stage_times))[0])
    assert found.reasons == ()
    assert not found.deterministic
    assert found.conditions["kernel"] == "6.1.0-56-amd64 x86_64"
    assert found.conditions["clock"] == "CLOCK_MONOTONIC from tsc"
    assert ("netlink_sendmsg", "fentry", "netlink_sendmsg") in found.conditions["plan"]
    assert found.outcomes == {("netlink", "msgchan echo"): (1.0, 0.0)}
    assert found.tails == tails(exchanges(stage_times))


def test_quantiles_are_those_of_the_report() -> None:
    frame = exchanges(times(np.random.default_rng(1), 307))
    lines = quantile_lines(frame)[0]["value_ns"].unstack("quantile")
    told = stage_table(frame).set_index(["channel", "name", "stage"]).loc[lines.index]
    for quantile in QUANTILES:
        assert (lines[quantile] == told[f"{quantile}_ns"]).all()


def test_stages_are_in_the_order_of_the_path() -> None:
    lines = quantile_lines(exchanges(times(np.random.default_rng(1), 11)))[0]
    assert list(dict.fromkeys(lines.index.get_level_values("stage"))) == [
        *ECHO, "unexplained", "total",
    ]  # fmt: skip


def test_a_quantile_needs_exchanges_beyond_it() -> None:
    for count, left in (
        (9, ["p50", "p90", "p99"]), (10, ["p90", "p99"]), (29, ["p90", "p99"]), (30, ["p99"]),
        (299, ["p99"]), (300, []),
    ):  # fmt: skip
        lines, left_out = quantile_lines(exchanges(times(np.random.default_rng(1), count)))
        assert set(lines.index.get_level_values("quantile")) == set(QUANTILES) - set(left)
        assert left_out == tuple(
            (("netlink", "msgchan echo"),
             f"netlink, msgchan echo: {q} needs {MINIMUM[q]} exchanges a run")
            for q in left
        )  # fmt: skip


def test_unsettled_exchanges_count_in_the_outcomes_only() -> None:
    frame = exchanges(times(np.random.default_rng(1), 20))
    frame.loc[:3, "status"] = "unanswered"
    frame.loc[4, "status"] = "error"
    assert set(quantile_lines(frame)[0]["count"]) == {16}


def test_the_interval_within_a_run_covers_the_true_median() -> None:
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(200):
        lines = quantile_lines(exchanges(times(random, 101)))[0]
        low, high = lines.loc[("netlink", "msgchan echo", "handler", "p50"), ["low_ns", "high_ns"]]
        missed += not low <= ECHO["handler"] <= high
    assert missed <= 1


def test_a_stage_s_tail_says_how_many_took_at_least_so_long() -> None:
    stage_times = times(np.random.default_rng(1), 307, spread=0)
    stage_times[:5, list(ECHO).index("copy")] = [9000, 3000, 9000, 3000, 3000]
    frame = exchanges(stage_times)
    found = tails(frame)
    assert found["netlink", "msgchan echo", "copy"] == ((9000, 2), (3000, 5), (1200, 307))
    assert found["netlink", "msgchan echo", "wake"] == ((900, 307),)
    assert [stage for _, _, stage in found] == [*ECHO, "unexplained", "total"]
    frame.loc[0, "status"] = "unanswered"
    assert tails(frame)["netlink", "msgchan echo", "copy"][0] == (9000, 1)


def test_tails_are_kept_where_a_quantile_beyond_the_median_is() -> None:
    for count, kept in ((29, 0), (30, len(ECHO) + 2)):
        assert len(tails(exchanges(times(np.random.default_rng(1), count)))) == kept


def ranked(count: int, quantile: str) -> pd.Series[int]:
    """The line of a stage whose values are their own ranks."""
    stage_times = times(np.random.default_rng(1), count)
    stage_times[:, list(ECHO).index("handler")] = np.arange(count) + 1
    lines = quantile_lines(exchanges(stage_times))[0]
    return lines.loc[("netlink", "msgchan echo", "handler", quantile)]


@pytest.mark.parametrize("quantile", QUANTILES)
def test_the_interval_within_a_run_is_as_wide_as_its_confidence(quantile: str) -> None:
    """So many of 3,001 lie below the true quantile as the binomial distribution says."""
    found = ranked(3001, quantile)
    below = np.arange(found["low_ns"], found["high_ns"])
    assert 0.9985 < binom.pmf(below, 3001, QUANTILES[quantile]).sum() < 0.9995
    assert (found["fast_ns"], found["slow_ns"]) == (301, 2701)


def test_an_interval_ends_at_the_values_there_are() -> None:
    found = ranked(10, "p50")
    assert (found["low_ns"], found["high_ns"]) == (1, 10)


def test_what_a_recording_does_not_know_of_itself(tmp_path: Path) -> None:
    unknown = {"module": None, "plan": None, "clock": None}
    run = tracer.load(record(tmp_path / "a", times(np.random.default_rng(1), 11), **unknown))
    found = digest(run)
    assert found.remarks["module build"] == "none"
    assert (found.conditions["plan"], found.conditions["clock"]) == (frozenset(), "? from ?")


def test_the_module_and_the_clock_that_counts_are_named(tmp_path: Path) -> None:
    told = {
        "module": {"build_id": "ab12"},
        "clock": {"name": "CLOCK_MONOTONIC", "source": "tsc", "deterministic": True},
    }
    found = digest(tracer.load(record(tmp_path / "a", times(np.random.default_rng(1), 11), **told)))
    assert found.remarks["module build"] == "ab12"
    assert found.deterministic
    assert found.conditions["clock"] == "CLOCK_MONOTONIC from tsc, counts instructions"


def test_an_untrusted_run_says_why(tmp_path: Path) -> None:
    stage_times = times(np.random.default_rng(1), 11)
    run = tracer.load(record(tmp_path / "a", stage_times, losses={"recursion_misses": 3}))
    assert digest(run).reasons[0].startswith("recursion misses: kernel 3")
