# SPDX-License-Identifier: GPL-2.0-or-later
"""The calls that a thread's stack in the probes' map says it is inside of."""

from __future__ import annotations

import ctypes

import pytest

from tracer.attach.ending import OpenCall, open_calls
from tracer.event import CODE, TO_KERNEL, TO_USER


class Frame(ctypes.Structure):
    """As much of ``struct frame`` as is looked at."""

    _fields_ = (
        ("start_ns", ctypes.c_uint64),
        ("id", ctypes.c_uint64),
        ("point", ctypes.c_uint8),
        ("proto", ctypes.c_uint8),
        ("direction", ctypes.c_uint8),
    )


class Thread(ctypes.Structure):
    """As much of ``struct thread``."""

    _fields_ = (
        ("depth", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("tgid", ctypes.c_uint32),
        ("frames", Frame * 8),
    )


def thread(depth: int, *frames: tuple[int, str, int, int]) -> Thread:
    made = Thread(depth=depth, tid=8, tgid=7)
    for number, (id_, point, proto, direction) in enumerate(frames):
        made.frames[number] = Frame(11 + number, id_, CODE[point], proto, direction)
    return made


def test_a_thread_outside_of_calls() -> None:
    assert open_calls(thread(0, (5, "sendto", 0, 0))) == []


def test_a_request_in_its_handler() -> None:
    """Below depth lie frames of calls that returned."""
    stack = thread(
        3,
        (0, "sendto", 0, 0),
        (9 << 32 | 258, "netlink_unicast", 30, TO_KERNEL),
        (9 << 32 | 258, "msgchan_handler", 2, 0),
        (9 << 32 | 258, "netlink_unicast", 30, TO_USER),
    )
    assert open_calls(stack) == [
        OpenCall(8, 7, "sendto", 11, 0, 0),
        OpenCall(8, 7, "netlink_unicast", 12, 30, 258),
        OpenCall(8, 7, "msgchan_handler", 13, 2, 0),
    ]


@pytest.mark.parametrize("point", ["netlink_unicast", "nf_getsockopt", "recvfrom"])
def test_what_is_no_request_has_no_port(point: str) -> None:
    """Nor does the address of a sock, which stands in the same place, leave the map."""
    (call,) = open_calls(thread(1, (0xFFFF_8880_0000_1000, point, 30, TO_USER)))
    assert call == OpenCall(8, 7, point, 11, 0, 0)


def test_a_stack_deeper_than_its_room() -> None:
    frames = [(1, "sendto", 0, 0)] * 8
    assert len(open_calls(thread(11, *frames))) == 8
