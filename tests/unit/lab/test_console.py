# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from tracer.lab import console


@pytest.mark.parametrize(
    "line",
    [
        "[    8.07] WARNING: CPU: 0 PID: 312 at net/core/dev.c:99 foo+0x1/0x2 [msgchan]",
        "[    8.07] WARNING: possible circular locking dependency detected",
        "[    8.07] WARNING: suspicious RCU usage",
        "[    8.07] BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "[    8.07] BUG: sleeping function called from invalid context at mm/slab.h:494",
        "[    8.07] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [python3:312]",
        "[    8.07] Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "[    8.07] Call Trace:",
        "[    8.07] Kernel panic - not syncing: Fatal exception",
        "[    8.07] general protection fault, probably for non-canonical address",
        "[    8.07] INFO: task rmmod:77 blocked for more than 120 seconds.",
        "[    8.07] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "[    8.07] BUG: KASAN: slab-out-of-bounds in nla_parse+0x1/0x2",
        "[    8.07] UBSAN: array-index-out-of-bounds in kmod/netlink.c:10:2",
        "[    8.07] refcount_t: underflow; use-after-free.",
        "[    8.07] list_del corruption. next->prev should be ffff8880",
    ],
)
def test_what_the_kernel_complains_of_is_found(line: str) -> None:
    assert console.complaints(f"[    1.0] usual\n{line}\r\n[    9.0] usual\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        "[    0.00] Linux version 6.1.0 (debian-kernel@lists.debian.org)",
        "[    7.00] msgchan: loading out-of-tree module taints kernel.",
        "[    7.00] virtme-ng-init: WARNING: failed to restore symlink /run/x",
        "[    3.00] perf: interrupt took too long (2505 > 2500), lowering kernel.perf_event_max",
        "[    0.00] DEBUG: nothing",
    ],
)
def test_ordinary_lines_are_no_complaint(line: str) -> None:
    assert console.complaints(line) == []


def test_complaints_before_the_guest_was_up_are_the_boot_s_own() -> None:
    log = f"WARNING: CPU: 0 early\n[ 7.0] {console.GUEST_IS_UP}\nWARNING: CPU: 0 late\n"
    assert console.complaints(log) == ["WARNING: CPU: 0 late"]


def test_frames_tell_where_the_kernel_was() -> None:
    log = f"""[ 1.0] Call Trace:
[ 1.0]  early+0x1/0x2
[ 7.0] {console.GUEST_IS_UP}
[ 8.0] msgchan: at usual+0x3/0x4
[ 9.0] watchdog: BUG: soft lockup - CPU#0 stuck for 268s! [ip:420]\r
[ 9.0] CPU: 0 PID: 420 Comm: ip Tainted: G           OE      6.1.0 #1\r
[ 9.0] RIP: 0010:smp_call_function_many_cond+0x12a/0x380\r
[ 9.0] RAX: 0000000000000001 RBX: ffff88807dc2d4c0\r
[ 9.0] Call Trace:\r
[ 9.0]  <TASK>\r
[ 9.0]  ? flush_tlb+0x10/0x10\r
[ 9.0]  on_each_cpu_cond_mask+0x24/0x40\r
"""
    assert console.frames(log) == [
        "[ 9.0] RIP: 0010:smp_call_function_many_cond+0x12a/0x380",
        "[ 9.0]  ? flush_tlb+0x10/0x10",
        "[ 9.0]  on_each_cpu_cond_mask+0x24/0x40",
    ]
    assert console.frames(log, most=1) == console.frames(log)[:1]
    assert console.frames("all is well at usual+0x3/0x4") == []


def test_tail_lies_between_the_guest_s_coming_up_and_the_command_s_end() -> None:
    log = f"boot\n[ 7.0] {console.GUEST_IS_UP}\nfirst\n\nsecond\r\nthird\n"
    log += f"[ 9.0] {console.COMMAND_ENDED}\nPower down\n"
    assert console.tail(log, lines=2) == ["second", "third"]
    assert console.tail(log) == ["first", "second", "third"]


def test_tail_of_a_guest_that_never_came_up_is_its_boot() -> None:
    assert console.tail("boot\npanic\n") == ["boot", "panic"]
