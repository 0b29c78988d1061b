# SPDX-License-Identifier: GPL-2.0-or-later
"""The call that a thread's slot in the probes' map says it is inside of."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tracer.attach.slot import POLLED, THREAD_DTYPE, OpenCall, open_call
from tracer.event import OPT_RECORD, SEND_RECORD
from tracer.resources import source_dir

OPTIONS = range(10128, 10130)
NONE, SEND, RECV, SET, GET, POLL = range(6)
#: Names of the structure that stand for a union in numpy's.
UNION = {"record": "words"}


def thread(call: int, *, reached: int = 0, dst: int = 0, optname: int = 0) -> np.void:
    made = np.zeros(1, THREAD_DTYPE)[0]
    made["ids"], made["open"], made["reached"] = 7 << 32 | 8, call, reached
    if call in (SET, GET):
        record = np.zeros(1, OPT_RECORD)
        record["optname"] = optname
    else:
        record = np.zeros(1, SEND_RECORD)
        record["portid"], record["dst"], record["proto"] = 258, dst, 30
    record["enter_ns"] = 11
    made["record"] = record.tobytes()
    return made


def test_a_thread_outside_of_calls() -> None:
    """What the slot holds then is of a call that returned."""
    assert open_call(thread(NONE, reached=1), OPTIONS) is None


@pytest.mark.parametrize(
    ("call", "reached", "point"),
    [
        (SEND, 0, "netlink_sendmsg"),
        (RECV, 0, "netlink_recvmsg"),
        (SET, 0, "setsockopt"),
        (GET, 0, "getsockopt"),
        (POLL, 0, "poll"),
    ],
)
def test_a_call_that_has_just_begun(call: int, reached: int, point: str) -> None:
    told = open_call(thread(call, reached=reached, optname=10128), OPTIONS)
    assert told == OpenCall(8, 7, point, 11, 0, 0)


def test_a_request_under_way() -> None:
    told = open_call(thread(SEND, reached=1), OPTIONS)
    assert told == OpenCall(8, 7, "netlink_unicast", 11, 30, 258)


def test_a_message_to_a_peer_is_no_request() -> None:
    told = open_call(thread(SEND, reached=1, dst=5), OPTIONS)
    assert told == OpenCall(8, 7, "netlink_unicast", 11, 0, 0)


@pytest.mark.parametrize(("call", "point"), [(SET, "nf_setsockopt"), (GET, "nf_getsockopt")])
@pytest.mark.parametrize(("optname", "ours"), [(10128, 1), (10129, 1), (10130, 0), (64, 0)])
def test_an_option_under_way(call: int, point: str, optname: int, ours: int) -> None:
    told = open_call(thread(call, reached=1, optname=optname), OPTIONS)
    assert told == OpenCall(8, 7, point, 11, ours, 0)


def test_the_layout_is_that_of_the_probes(tmp_path: Path) -> None:
    """The structures of bpf/maps.c, compiled here: every offset and size."""
    text = (source_dir("bpf") / "maps.c").read_text()
    structures = [
        re.search(rf"^struct {name} {{.*?^}};", text, re.M | re.S) for name in ("polled", "thread")
    ]
    most = re.search(r"^#define POLLED_MAX \d+$", text, re.M)
    assert most is not None
    lines = ["#include <stdio.h>", "#include <stddef.h>", '#include "event.h"', most[0]]
    lines += [f"typedef __u{bits} u{bits};" for bits in (8, 16, 32, 64)]
    lines += [found[0] for found in structures if found]
    lines.append("int main(void) {")
    for structure, dtype in (("polled", POLLED), ("thread", THREAD_DTYPE)):
        for name in dtype.names or ():
            field = f"struct {structure}, {UNION.get(name, name)}"
            lines.append(f'printf("%zu\\n", offsetof({field}));')
        lines.append(f'printf("%zu\\n", sizeof(struct {structure}));')
    source = tmp_path / "slot.c"
    source.write_text("\n".join([*lines, "return 0; }"]))
    program = tmp_path / "slot"
    subprocess.run(["gcc", "-I", source_dir("bpf"), "-o", program, source], check=True)
    told = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    expected = []
    for dtype in (POLLED, THREAD_DTYPE):
        assert dtype.fields is not None
        expected += [dtype.fields[name][1] for name in dtype.names or ()] + [dtype.itemsize]
    assert [int(line) for line in told.split()] == expected
