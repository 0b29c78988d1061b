# SPDX-License-Identifier: GPL-2.0-or-later
"""What is refused to be compared, and what is noted beside a comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from comparison_builder import in_order
from run_builder import META, digests, record, times

import tracer
from tracer.compare.comparison import INCONCLUSIVE, Options, compare, compare_digests
from tracer.compare.digest import Digest
from tracer.errors import TracerError

DETERMINISTIC = {"name": "CLOCK_MONOTONIC", "source": "tsc", "deterministic": True}


@pytest.fixture
def base(tmp_path: Path) -> tracer.run.Run:
    return tracer.load(record(tmp_path / "base", times(np.random.default_rng(1), 31)))


def other(tmp_path: Path, **meta: Any) -> tracer.run.Run:
    return tracer.load(record(tmp_path / "new", times(np.random.default_rng(2), 31), **meta))


def test_recordings_compare(base: Any, tmp_path: Path) -> None:
    clock = {"clock": DETERMINISTIC}
    found = compare([base], [other(tmp_path)], Options(stages=("handler",), types=("netlink",)))
    assert set(found.lines["stage"]) == {"handler"}
    assert found.lines["quantile"].tolist() == ["p50", "p90"]
    assert found.lines["decides"].tolist() == [True, True]
    assert found.base == (str(tmp_path / "base"),)
    with pytest.raises(TracerError, match="differ in clock"):
        compare(
            [base],
            [tracer.load(record(tmp_path / "d", times(np.random.default_rng(2), 31), **clock))],
        )


OTHER_PLAN = [META["plan"][0] | {"site": "kprobe"}, *META["plan"][1:]]
LONGER_PLAN = [*META["plan"], META["plan"][0] | {"point": "filter", "target": "netlink_insert"}]


@pytest.mark.parametrize(
    ("meta", "name", "said"),
    [
        ({"plan": OTHER_PLAN}, "plan", "fentry netlink_sendmsg against .* kprobe netlink_sendmsg"),
        ({"plan": LONGER_PLAN}, "plan", "no such site against filter fentry netlink_insert"),
        ({"kernel": "6.12"}, "kernel", "6.1.0-56-amd64 x86_64 against 6.12 x86_64"),
        ({"clock": META["clock"] | {"source": "hpet"}}, "clock", "from tsc against .* from hpet"),
        ({"clock": DETERMINISTIC}, "clock", "against .*, counts instructions"),
    ],
)  # fmt: skip
def test_other_conditions_are_refused_unless_allowed(
    base: Any, tmp_path: Path, meta: dict[str, Any], name: str, said: str
) -> None:
    new = other(tmp_path, **meta)
    with pytest.raises(TracerError, match=f"differ in {name}: .*{said}.*--allow {name}"):
        compare([base], [new])
    found = compare([base], [new], Options(allow=frozenset({name})))
    assert f"compared although these may differ: {name}" in found.notes


def test_every_run_of_either_side_must_agree(base: Any, tmp_path: Path) -> None:
    odd = other(tmp_path, kernel="6.12")
    for sides in (([base, odd], [base]), ([base], [base, odd])):
        with pytest.raises(TracerError, match="differ in kernel"):
            compare(*sides)


def test_plans_that_differ_in_several_sites_name_one_and_count_the_rest() -> None:
    sites = [(point, "fentry", f"do_{point}") for point in ("copy", "handler", "reply")]
    (base,), (new,) = digests(1, 1), digests(1, 2)
    base = replace(base, conditions={"plan": frozenset(sites)})
    new = replace(new, conditions={"plan": frozenset(sites[2:])})
    with pytest.raises(TracerError, match="plan: copy fentry do_copy against no such site and 1 m"):
        compare_digests([base], [new])
    new = replace(new, conditions={"plan": frozenset(sites[1:])})
    with pytest.raises(TracerError, match="copy fentry do_copy against no such site; record"):
        compare_digests([base], [new])


def test_reasons_of_the_plan_do_not_matter(base: Any, tmp_path: Path) -> None:
    plan = [site | {"reason": "asked for"} for site in META["plan"]]
    assert compare([base], [other(tmp_path, plan=plan)]).verdict == INCONCLUSIVE


def test_an_untrusted_recording_is_refused_unless_allowed(base: Any, tmp_path: Path) -> None:
    new = other(tmp_path, losses={"recursion_misses": 3})
    with pytest.raises(TracerError, match=r"new is untrusted \(recursion misses.*--allow untrust"):
        compare([base], [new])
    assert compare([base], [new], Options(allow=frozenset({"untrusted"}))).exit_status == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"types": ("notify",)}, "no type 'notify' has 10 .*choose from: netlink, msgchan echo$"),
        ({"types": ("netlink", "no")}, "no type 'no' has 10 .*choose from: netlink, msgchan echo$"),
        ({"types": ("msgchan echo", "")}, "no type '' has"),
        ({"stages": ("exit",)}, "no stage 'exit' has 10 settled exchanges in every run; choose"),
        ({"stages": ("copy", "handlr")}, "no stage 'handlr' .*: encode, send_entry, .*total$"),
        ({"types": ("netlink",), "stages": ("copy", "exit")}, "no stage 'exit'"),
    ],
)
def test_whatever_is_asked_for_must_be_there(
    base: Any, options: dict[str, tuple[str, ...]], said: str
) -> None:
    with pytest.raises(TracerError, match=f"nothing to compare: {said}"):
        compare([base], [base], Options(**options))


def test_a_stage_that_one_side_lost_cannot_be_asked_for() -> None:
    (base,), (new,) = digests(1, 1), digests(1, 2)
    new = replace(new, lines=new.lines.drop(index="wake", level="stage"))
    with pytest.raises(TracerError, match="no stage 'wake' has 10 settled exchanges in every run"):
        compare_digests([base], [new], Options(stages=("copy", "wake")))


@pytest.mark.parametrize("count", [0, 9])
def test_nothing_to_compare(base: Any, tmp_path: Path, count: int) -> None:
    few = tracer.load(record(tmp_path / "few", times(np.random.default_rng(2), count)))
    for sides in (([base], [few]), ([few], [base]), ([base], [base, few])):
        for options in (Options(), Options(types=("netlink",)), Options(stages=("copy",))):
            with pytest.raises(TracerError, match=r"nothing to compare: no .*record more exch"):
                compare(*sides, options)
    for none in (([base], []), ([], [base])):
        with pytest.raises(TracerError, match="a side has no run"):
            compare(*none)


# --------------------------------------------------------------------------
# Notes


def test_other_hosts_and_builds_are_noted(base: Any, tmp_path: Path) -> None:
    found = compare(
        [base], [other(tmp_path, host="there", module=META["module"] | {"build_id": "77"})]
    )
    assert "the host differs: lab, there" in found.notes
    assert "the module build differs: 48c0, 77" in found.notes


def test_of_like_recordings_only_what_is_left_out_is_noted(base: Any, tmp_path: Path) -> None:
    found = compare([base], [other(tmp_path)])
    assert found.notes == ("netlink, msgchan echo: p99 needs 300 exchanges a run",)


def test_on_the_deterministic_clock_another_host_is_no_matter() -> None:
    (base,), (new,) = digests(1, 1, deterministic=True), digests(1, 2, deterministic=True)
    base = replace(base, remarks={"host": "here", "module build": "48c0"})
    new = replace(new, remarks={"host": "there", "module build": "77"})
    assert compare_digests([base], [new]).notes == ("the module build differs: 48c0, 77",)


def test_what_has_too_few_exchanges_is_noted(base: Any, tmp_path: Path) -> None:
    found = compare([base], [other(tmp_path)])
    assert "netlink, msgchan echo: p99 needs 300 exchanges a run" in found.notes
    assert set(found.lines["quantile"]) == {"p50", "p90"}


def test_sides_one_after_the_other_are_noted_where_they_are_allowed() -> None:
    allowed = Options(allow=frozenset({"order"}))
    waived = "compared although these may differ: order"
    base, new = digests(2, 1), digests(2, 2)
    after = compare_digests(*in_order(base, new, "AABB"), allowed)
    assert after.notes == (
        waived,
        "the sides were not recorded in turn (at one time 2 of 2 runs of base and 0 of 2 of new): "
        "a drift of the machine counts as change",
    )
    assert compare_digests(*in_order(base, new, "ABAB"), allowed).notes == (waived,)
    # Where it is not allowed it is no note but the reason of the verdict.
    assert compare_digests(*in_order(base, new, "AABB")).notes == ()


ECHOES, GETS = ("netlink", "msgchan echo"), ("getsockopt", "msgchan request")


def test_a_type_of_one_side_is_noted() -> None:
    base = [replace(digests(1, 1)[0], outcomes={ECHOES: (1.0, 0.0), GETS: (1.0, 0.0)})]
    new = [replace(digests(1, 2)[0], outcomes={ECHOES: (1.0, 0.0)})]
    assert compare_digests(base, new).notes == ("getsockopt, msgchan request: only in base",)
    assert compare_digests(new, base).notes == ("getsockopt, msgchan request: only in new",)
    assert compare_digests(new, base, Options(types=("msgchan echo",))).notes == ()


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.0, 1.0), "0.0% succeeded and 100.0% failed, in base 100.0% and 0.0%"),
        ((0.9, 0.0), "90.0% succeeded and 0.0% failed, in base 100.0% and 0.0%"),
        ((0.991, 0.009), ""),
    ],
)
def test_other_outcomes_are_refused_unless_allowed(shares: tuple[float, float], said: str) -> None:
    """What fails at once is fast: that is no improvement."""
    base = [replace(run, outcomes={ECHOES: (1.0, 0.0)}) for run in digests(1, 1)]
    new = [replace(run, outcomes={ECHOES: shares}) for run in digests(1, 2)]
    allowed = compare_digests(base, new, Options(allow=frozenset({"outcomes"})))
    if not said:
        assert compare_digests(base, new).verdict == allowed.verdict
        assert not [note for note in allowed.notes if "succeeded" in note]
        return
    told = f"netlink, msgchan echo: {said}"
    with pytest.raises(TracerError, match=f"{told}; find out why, or say --allow outcomes"):
        compare_digests(base, new)
    assert told in allowed.notes


def test_outcomes_of_types_that_are_not_compared_do_not_matter() -> None:
    """Neither of those that nobody asked for, nor of those with too few exchanges to compare."""
    (base,), (new,) = digests(1, 1), digests(1, 2)
    shares = {ECHOES: (1.0, 0.0), GETS: (1.0, 0.0)}
    base, new = replace(base, outcomes=shares), replace(new, outcomes={**shares, GETS: (0.0, 1.0)})
    assert compare_digests([base], [new]).notes == ()
    failed = replace(new, outcomes={ECHOES: (0.0, 1.0)})
    with pytest.raises(TracerError, match="no type 'getsockopt'"):
        compare_digests([base], [failed], Options(types=("getsockopt",)))


SETS = ("setsockopt", "msgchan request")


def counted(counts: dict[tuple[str, str], int], ok: float = 1.0, **how: Any) -> Digest:
    """A run with so many settled exchanges of each type, of which ``ok`` is the share of all."""
    (run,) = digests(1, 1, **how)
    parts = [
        run.lines.rename({"netlink": channel}, level="channel")
        .rename({"msgchan echo": name}, level="name")
        .assign(count=count)
        for (channel, name), count in counts.items()
    ]
    tails = {
        (*kind, stage): longest for kind in counts for (_, _, stage), longest in run.tails.items()
    }
    outcomes = dict.fromkeys(counts, (ok, 0.0))
    return replace(run, lines=pd.concat(parts), tails=tails, outcomes=outcomes)


@pytest.mark.parametrize(
    ("base", "new", "said"),
    [
        ({ECHOES: 307}, {ECHOES: 30}, "netlink, msgchan echo: 307 exchanges against 30"),
        ({ECHOES: 307}, {ECHOES: 308}, "netlink, msgchan echo: 307 exchanges against 308"),
        ({ECHOES: 50, SETS: 20}, {ECHOES: 50}, "msgchan request: 20 exchanges against too few"),
        ({ECHOES: 50}, {ECHOES: 50, SETS: 20}, "msgchan request: too few exchanges against 20"),
        ({ECHOES: 50, SETS: 20}, {ECHOES: 50, SETS: 20}, ""),
    ],
)
def test_another_workload_is_refused_where_instructions_are_counted(
    base: dict[tuple[str, str], int], new: dict[tuple[str, str], int], said: str
) -> None:
    sides = [counted(base, deterministic=True)], [counted(new, deterministic=True)]
    allowed = compare_digests(*sides, Options(allow=frozenset({"workload"})))
    if not said:
        assert compare_digests(*sides).verdict == allowed.verdict
        return
    with pytest.raises(TracerError, match=f"differ in workload: .*{said}; record the same work"):
        compare_digests(*sides)


def test_every_exchange_counts_whatever_became_of_it() -> None:
    """Of 400 requests 300 were answered on both sides, or 300 of 300."""
    how = {"deterministic": True}
    base, new = counted({ECHOES: 300}, ok=0.75, **how), counted({ECHOES: 300}, **how)
    outcomes = frozenset({"outcomes"})
    with pytest.raises(TracerError, match="400 exchanges against 300"):
        compare_digests([base], [new], Options(allow=outcomes))
    assert compare_digests([base], [base], Options(allow=outcomes)).deterministic


def test_only_the_workload_of_the_types_that_are_asked_for_counts() -> None:
    how = {"deterministic": True}
    sides = [counted({ECHOES: 50, SETS: 20}, **how)], [counted({ECHOES: 50, SETS: 21}, **how)]
    assert set(compare_digests(*sides, Options(types=("netlink",))).lines["channel"]) == {"netlink"}
    with pytest.raises(TracerError, match="differ in workload"):
        compare_digests(*sides, Options(types=("setsockopt",)))


def test_on_a_wall_clock_another_workload_is_a_note_unless_it_must_be_the_same() -> None:
    base, new = [counted({ECHOES: 307})], [counted({ECHOES: 30})]
    said = "netlink, msgchan echo: 30 exchanges a run, in base 307: another workload?"
    assert said in compare_digests(base, new).notes
    assert not compare_digests(base, [counted({ECHOES: 300})]).notes
    with pytest.raises(TracerError, match="307 exchanges against 30; record the same workload"):
        compare_digests(base, new, Options(same_workload=True))


def test_a_stage_that_not_every_run_has_is_left_out_and_noted() -> None:
    (base,), (new,) = digests(1, 1), digests(1, 2)
    new = replace(new, lines=new.lines.drop(index="wake", level="stage"))
    found = compare_digests([base], [new])
    assert "wake" not in set(found.lines["stage"])
    assert found.notes == ("netlink, msgchan echo: wake is not in every run",)
