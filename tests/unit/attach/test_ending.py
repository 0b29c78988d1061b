# SPDX-License-Identifier: GPL-2.0-or-later
"""The call that a thread's slot in the probes' map says it is inside of."""

from __future__ import annotations

import ctypes
import re

import pytest

from tracer.attach.ending import OpenCall, open_calls
from tracer.resources import source_dir

OPTIONS = range(10128, 10130)
OWNED = 0x80000000
NONE, SEND, RECV, SET, GET, POLL = range(6)


class Sending(ctypes.Structure):
    """As much of ``struct tracer_send`` as is looked at."""

    _fields_ = (("portid", ctypes.c_uint32), ("dst", ctypes.c_uint32), ("proto", ctypes.c_uint8))


class Option(ctypes.Structure):
    """As much of ``struct tracer_opt``."""

    _fields_ = (("optname", ctypes.c_uint32),)


class Thread(ctypes.Structure):
    """As much of ``struct thread``; there the last three lie in one place."""

    _fields_ = (
        ("key", ctypes.c_uint32),
        ("tgid", ctypes.c_uint32),
        ("open", ctypes.c_uint8),
        ("reached", ctypes.c_uint8),
        ("words", ctypes.c_uint64 * 16),
        ("send", Sending),
        ("opt", Option),
    )


def thread(call: int, *, reached: int = 0, dst: int = 0, optname: int = 0) -> Thread:
    made = Thread(key=OWNED | 8, tgid=7, open=call, reached=reached)
    made.words[0] = 11
    made.send = Sending(258, dst, 30)
    made.opt = Option(optname)
    return made


def test_a_thread_outside_of_calls() -> None:
    """What the slot holds then is of a call that returned."""
    assert open_calls(thread(NONE, reached=1), OPTIONS) == []


@pytest.mark.parametrize(
    ("call", "point"),
    [
        (SEND, "netlink_sendmsg"),
        (RECV, "netlink_recvmsg"),
        (SET, "setsockopt"),
        (GET, "getsockopt"),
        (POLL, "poll"),
    ],
)
def test_a_call_that_has_just_begun(call: int, point: str) -> None:
    """What stands in the slot beside its begin is of an earlier call."""
    found = open_calls(thread(call, optname=10129), OPTIONS)
    assert found == [OpenCall(8, 7, point, 11, 0, 0)]


def test_a_request_on_its_way() -> None:
    found = open_calls(thread(SEND, reached=1), OPTIONS)
    assert found == [OpenCall(8, 7, "netlink_unicast", 11, 30, 258)]


def test_a_message_to_another_process_is_no_request() -> None:
    found = open_calls(thread(SEND, reached=1, dst=9), OPTIONS)
    assert found == [OpenCall(8, 7, "netlink_unicast", 11, 0, 0)]


@pytest.mark.parametrize(("call", "point"), [(SET, "nf_setsockopt"), (GET, "nf_getsockopt")])
@pytest.mark.parametrize(("optname", "ours"), [(10127, 0), (10128, 1), (10129, 1), (10130, 0)])
def test_an_option_is_the_modules_or_not(call: int, point: str, optname: int, ours: int) -> None:
    found = open_calls(thread(call, reached=1, optname=optname), OPTIONS)
    assert found == [OpenCall(8, 7, point, 11, ours, 0)]


def test_the_calls_have_the_numbers_of_the_probes() -> None:
    text = (source_dir("bpf") / "maps.c").read_text()
    found = re.search(r"enum call \{(.*?)\}", text, flags=re.DOTALL)
    assert found
    names = re.findall(r"CALL_(\w+)", found[1])
    assert names == ["NONE", "SEND", "RECV", "SET", "GET", "POLL"]
    assert re.search(r"#define OWNED 0x80000000U", text)
