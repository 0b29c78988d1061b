# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose open files keep the module loaded; test_kmod.py has what is told of them."""

from __future__ import annotations

from tracer.module import holders


def test_tracepoints_of_the_header() -> None:
    assert holders._tracepoints() == {
        "request_received",
        "handler_done",
        "reply_sent",
        "copy_begin",
        "copy_end",
        "copy_to_user",
        "handled",
        "handled_any",
        "icmp_sent",
    }
