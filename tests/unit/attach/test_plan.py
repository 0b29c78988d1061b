# SPDX-License-Identifier: GPL-2.0-or-later
"""Every branch of the attach plan, and what it says when it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracer.attach.plan import Offer, Plan, make_plan
from tracer.attach.sites import (
    ABSENT,
    BREAKPOINT,
    FENTRY,
    FUNCTIONS,
    KPROBE,
    MARKING,
    MODULE_TRACEPOINT,
    RAW_TRACEPOINT,
    RELAY,
    TASK_TRACEPOINTS,
)
from tracer.errors import TracerError
from tracer.event import POINTS

NAMES = frozenset(function.name for function in FUNCTIONS)
FULL = Offer(
    functions=NAMES, btf_functions=NAMES, fentry="", module=True, breakpoint=True, storage=True
)
#: Functions that are probed where another one is absent; this one is offered here.
SPARE = {function.name for function in FUNCTIONS if function.instead}


#: The tracepoints of msgchan in the plan: of the handler, of its copy, and of ICMP messages.
MODULE = ["msgchan:handled", "msgchan:handled", "msgchan:icmp_sent"]


def reasons(plan: Plan, *, site: str) -> set[str]:
    return {row["reason"] for row in plan.as_rows() if row["site"] == site}


def sites_of(plan: Plan) -> set[str]:
    """The kinds of site of the functions, those left out that another one makes unnecessary."""
    return {site for name, site in plan.functions.items() if name not in SPARE}


def test_a_kernel_that_offers_everything() -> None:
    plan = make_plan(FULL)
    assert plan.full
    assert plan.module
    assert plan.copy == MODULE_TRACEPOINT
    assert plan.marks
    assert sites_of(plan) == {FENTRY}
    assert reasons(plan, site=FENTRY) == {"cheapest"}
    assert plan == make_plan(FULL, FENTRY)


def test_every_point_has_a_site() -> None:
    observed = {site.point for site in make_plan(FULL).sites} - {""}
    assert observed == set(POINTS) - {"task"}


def test_the_rows_of_meta_json() -> None:
    rows = make_plan(FULL).as_rows()
    probed = len(FUNCTIONS) - len(SPARE)
    assert len(rows) == probed + len(TASK_TRACEPOINTS) + len(("copy", *MODULE, "copy_to_user"))
    assert all(list(row) == ["point", "site", "target", "reason"] for row in rows)
    assert all(row[key] for row in rows for key in row)
    by_target = {row["target"]: row for row in rows}
    assert by_target["datagram_poll"]["point"] == "filter"
    assert by_target["__sys_setsockopt"]["point"] == "setsockopt"
    assert by_target["skb:skb_copy_datagram_iovec"]["point"] == "skb_copy_datagram_iter"
    assert by_target["sched_process_fork"]["site"] == RAW_TRACEPOINT
    assert rows[-1]["point"] == "copy_to_user"


def test_kprobes_when_asked_for() -> None:
    plan = make_plan(FULL, KPROBE)
    assert sites_of(plan) == {KPROBE}
    assert reasons(plan, site=KPROBE) == {"asked for"}
    assert plan.full
    assert not plan.marks
    assert "msgchan:handled_any" in {row["target"] for row in plan.as_rows()}


def test_the_copy_of_a_datagram_where_its_end_has_no_function_of_its_own() -> None:
    plan = make_plan(replace(FULL, functions=NAMES - {"skb_free_datagram"}))
    assert plan.functions["skb_copy_datagram_iter"] == FENTRY
    assert plan.functions["skb_free_datagram"] == ABSENT


@pytest.mark.parametrize("function", MARKING)
def test_nothing_is_marked_where_one_function_cannot_see_marks(function: str) -> None:
    assert not make_plan(replace(FULL, btf_functions=NAMES - {function})).marks
    assert not make_plan(replace(FULL, storage=False)).marks


def test_kprobes_where_fentry_is_refused() -> None:
    plan = make_plan(replace(FULL, fentry="no trampolines"))
    assert reasons(plan, site=KPROBE) == {"no fentry: no trampolines"}
    assert plan.full


def test_fentry_that_was_asked_for_and_is_refused() -> None:
    with pytest.raises(TracerError) as raised:
        make_plan(replace(FULL, fentry="no trampolines"), FENTRY)
    assert str(raised.value) == (
        "cannot attach by fentry: no trampolines; use --attach auto or kprobe"
    )


def test_a_kernel_without_btf() -> None:
    offer = replace(FULL, btf_functions=frozenset(), fentry="vmlinux: No such file or directory")
    plan = make_plan(offer)
    assert sites_of(plan) == {KPROBE}


def test_one_function_that_btf_does_not_name() -> None:
    plan = make_plan(replace(FULL, btf_functions=NAMES - {"do_select"}))
    assert plan.functions["do_select"] == KPROBE
    assert plan.functions["do_sys_poll"] == FENTRY
    assert reasons(plan, site=KPROBE) == {"no fentry: not in the kernel's BTF"}


@pytest.mark.parametrize("attach", ["auto", FENTRY, KPROBE])
@pytest.mark.parametrize(
    "function",
    [f for f in FUNCTIONS if not f.needed and f.name not in SPARE | {"skb_free_datagram"}],
    ids=lambda f: f.name,
)
def test_a_function_that_is_not_needed_may_be_absent(function: object, attach: str) -> None:
    name, point = function.name, function.point  # type: ignore[attr-defined]
    plan = make_plan(replace(FULL, functions=NAMES - {name}), attach)
    assert plan.functions[name] == ABSENT
    assert reasons(plan, site=ABSENT) == {"this kernel has no such traceable function"}
    # What only serves the filter is no point of an exchange.
    assert plan.full == (point == "")


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if f.needed], ids=lambda f: f.name)
def test_a_needed_function_that_is_absent(function: object) -> None:
    name, point = function.name, function.point  # type: ignore[attr-defined]
    with pytest.raises(TracerError) as raised:
        make_plan(replace(FULL, functions=NAMES - {name}))
    assert str(raised.value) == (
        f"cannot observe {point or name}: {name}: this kernel has no such traceable function; "
        "run 'tracer doctor' to see what this kernel offers"
    )


def test_without_the_module() -> None:
    plan = make_plan(replace(FULL, module=False))
    assert not plan.full
    assert not plan.module
    absent = [row for row in plan.as_rows() if row["site"] == ABSENT]
    assert [row["target"] for row in absent] == MODULE
    assert {row["reason"] for row in absent} == {"msgchan is not loaded ('tracer kmod load')"}
    assert plan.copy == BREAKPOINT


@pytest.mark.parametrize(
    ("module", "breakpoint", "site"),
    [
        (True, True, MODULE_TRACEPOINT),
        (True, False, MODULE_TRACEPOINT),
        (False, True, BREAKPOINT),
        (False, False, ABSENT),
    ],
)
def test_the_cheapest_site_for_the_copy(module: bool, breakpoint: bool, site: str) -> None:
    assert make_plan(replace(FULL, module=module, breakpoint=breakpoint)).copy == site


@pytest.mark.parametrize(
    ("copy", "target"),
    [
        (MODULE_TRACEPOINT, "msgchan:handled"),
        (RELAY, "msgchan:copy_to_user"),
        (BREAKPOINT, "_copy_to_user"),
        (ABSENT, "msgchan:handled"),
    ],
)
def test_a_copy_site_that_was_asked_for(copy: str, target: str) -> None:
    plan = make_plan(FULL, copy=copy)
    assert plan.copy == copy
    assert (plan.sites[-1].site, plan.sites[-1].target) == (copy, target)
    assert plan.full == (copy != ABSENT)


@pytest.mark.parametrize("copy", [MODULE_TRACEPOINT, RELAY])
def test_copy_sites_of_the_module_need_it(copy: str) -> None:
    with pytest.raises(TracerError) as raised:
        make_plan(replace(FULL, module=False), copy=copy)
    assert str(raised.value) == (
        f"cannot observe the copy by {copy}: msgchan is not loaded; run 'tracer kmod load'"
    )


def test_a_breakpoint_that_the_processor_lacks() -> None:
    with pytest.raises(TracerError) as raised:
        make_plan(replace(FULL, breakpoint=False), copy=BREAKPOINT)
    assert str(raised.value) == (
        "cannot observe the copy by breakpoint: this processor offers no execution breakpoint; "
        "use --copy relay or absent"
    )
