# SPDX-License-Identifier: GPL-2.0-or-later
"""The text that BCC compiles, and the macros that it is given."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from tracer.attach.plan import Offer, Plan, make_plan
from tracer.attach.program import FRAGMENTS, compiler_flags, program_text
from tracer.attach.sites import FUNCTIONS, OFFSETS, STORAGE
from tracer.errors import TracerError
from tracer.resources import source_dir

NAMES = frozenset(function.name for function in FUNCTIONS)
FULL = Offer(
    functions=NAMES, btf_functions=NAMES, fentry="", module=True, breakpoint=True, storage=True
)


class Types:
    """BTF that knows every field but ``without``, and three argument slots of each function."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def offset(self, path: str) -> int:
        if path == self.without:
            raise KeyError(path)
        return 24

    def slots(self, _function: str) -> str:
        return "0,1,2"


def flags(plan: Plan, types: Any = None) -> list[str]:
    return compiler_flags(plan, types or Types(), (30, 31))


def test_every_file_of_bpf_is_in_the_program_once() -> None:
    there = {path.name for path in source_dir("bpf").iterdir() if path.suffix in (".c", ".h")}
    assert sorted(FRAGMENTS) == sorted(there)
    marked = re.findall(r'^#line 1 "bpf/(.*)"$', program_text(), re.M)
    assert tuple(marked) == FRAGMENTS


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_of_the_plan_has_its_probes(function: Any) -> None:
    """Its entry and its return, where the plan says so."""
    probes = re.findall(rf"^(ENTRY|RETURN)\({function.name}\)", program_text(), re.M)
    assert probes == ["ENTRY"] * function.entry + ["RETURN"] * function.returns


def test_a_site_and_its_arguments_are_told() -> None:
    told = flags(make_plan(FULL))
    assert "-DSITE_netlink_unicast=FENTRY" in told
    assert "-DSLOTS_netlink_unicast=0,1,2" in told
    assert {f"-D{macro}=24" for macro in OFFSETS} <= set(told)
    told = flags(make_plan(FULL, "kprobe"))
    assert "-DSITE_netlink_unicast=KPROBE" in told
    assert not any(flag.startswith("-DSLOTS_") for flag in told)


@pytest.mark.parametrize("storage", [True, False])
def test_marks_are_compiled_where_they_can_be_kept(storage: bool) -> None:
    told = flags(make_plan(replace(FULL, storage=storage)))
    assert f"-DMARKS={int(storage)}" in told
    assert (set(STORAGE) <= {flag[2:].partition("=")[0] for flag in told}) == storage


@pytest.mark.parametrize("module", [True, False])
def test_the_module_s_part_is_compiled_where_the_module_is(module: bool) -> None:
    assert f"-DMSGCHAN={int(module)}" in flags(make_plan(replace(FULL, module=module)))


def test_a_field_that_the_kernel_does_not_have_is_named() -> None:
    with pytest.raises(TracerError, match=r"the kernel's BTF has no sk_buff\.data"):
        flags(make_plan(FULL), Types(without="sk_buff.data"))
