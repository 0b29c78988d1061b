# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket options: one call, one exchange, with any number of copies."""

from __future__ import annotations

from contextlib import ExitStack

import pandas as pd
import pytest
from event_builder import Scene, stages_of

OPTION = {"type": 10129, "netns": 1}


def sockopt(
    scene: Scene,
    channel: str = "getsockopt",
    copies: tuple[tuple[int, int], ...] = (),
    point: str = "msgchan_copy",
    *,
    at: int = 0,
    handler: bool = True,
    logged: bool = True,
    ret: int = 0,
) -> None:
    """Log from 0 to 300, call 10 to 270, handler of the kernel 40 to 250, of msgchan 50 to 100."""
    if logged:
        code = 1 if channel == "setsockopt" else 2
        scene.log(2, at, at + 300, channel=code, token=at + 3, type=10129, size=16)
    with ExitStack() as calls:
        calls.enter_context(scene.call(channel, at + 10, at + 270, ret=ret))
        calls.enter_context(
            scene.call(f"nf_{channel}", at + 40, at + 250, size=16, ret=ret, **OPTION)
        )
        if handler:
            scene.span("msgchan_handler", at + 50, at + 100, token=at + 3, type=10129)
        for start, end in copies:
            scene.span(point, at + start, at + end, size=16)


@pytest.mark.parametrize("seed", [None, 1])
def test_set(seed: int | None) -> None:
    scene = Scene()
    sockopt(scene, "setsockopt")
    exchange = scene.play(seed).only
    assert stages_of(exchange) == {
        "encode": 10, "entry": 40, "handler": 50, "exit": 170, "decode": 30, "unexplained": 0,
    }  # fmt: skip
    assert (exchange["channel"], exchange["status"]) == ("setsockopt", "ok")
    assert exchange["logged"]
    assert pd.isna(exchange["match"])
    assert (exchange["request_bytes"], exchange["reply_bytes"]) == (16, 0)
    assert (exchange["optname"], exchange["name"]) == (10129, "msgchan request")
    assert (exchange["token"], exchange["total_ns"]) == (3, 300)
    assert pd.isna(exchange["portid"])


def test_get_with_one_copy() -> None:
    scene = Scene()
    sockopt(scene, copies=((120, 150),))
    exchange = scene.play(seed=1).only
    assert stages_of(exchange) == {
        "encode": 10, "entry": 40, "handler": 70, "copy": 30, "exit": 120, "decode": 30,
        "unexplained": 0,
    }  # fmt: skip
    assert (exchange["reply_bytes"], exchange["copied_bytes"]) == (16, 16)


def test_get_with_three_copies_is_handled_between_them() -> None:
    scene = Scene()
    sockopt(scene, copies=((60, 70), (90, 100), (200, 240)), point="copy_to_user", handler=False)
    exchange = scene.play(seed=1).only
    assert stages_of(exchange) == {
        "encode": 10, "entry": 30, "handler": 20 + 20 + 100, "copy": 60, "exit": 30, "decode": 30,
        "unexplained": 0,
    }  # fmt: skip
    assert exchange["copied_bytes"] == 48


@pytest.mark.parametrize(("handler", "expected"), [(True, (40, 50, 170)), (False, (30, 210, 20))])
def test_get_without_copies(handler: bool, expected: tuple[int, int, int]) -> None:
    scene = Scene()
    sockopt(scene, handler=handler)
    exchange = scene.play().only
    assert tuple(exchange[["entry_ns", "handler_ns", "exit_ns"]]) == expected
    assert exchange["unexplained_ns"] == 0
    assert pd.isna(exchange["copy_ns"])


def test_a_breakpoint_tells_only_where_the_copy_begins() -> None:
    scene = Scene()
    sockopt(scene, copies=((120, 120), (160, 160)), point="copy_to_user")
    exchange = scene.play().only
    assert stages_of(exchange) == {
        "encode": 10, "entry": 40, "handler": 110, "decode": 30, "unexplained": 110,
    }  # fmt: skip


def test_a_copy_of_the_module_may_take_no_time_on_a_coarse_clock() -> None:
    """The module's tracepoint sees both ends: a duration of 0 is what the clock could tell."""
    scene = Scene()
    sockopt(scene, copies=((120, 120),))
    exchange = scene.play().only
    assert (exchange["copy_ns"], exchange["exit_ns"]) == (0, 150)
    assert exchange["unexplained_ns"] == 0


def test_the_modules_own_copies_hide_the_same_ones_seen_from_outside() -> None:
    scene = Scene()
    sockopt(scene, copies=((120, 150),))
    scene.span("copy_to_user", 125, 145, depth=3, size=16)
    exchange = scene.play(seed=1).only
    assert (exchange["copy_ns"], exchange["copied_bytes"]) == (30, 16)


def test_an_error_is_that_of_the_call() -> None:
    scene = Scene()
    sockopt(scene, "setsockopt", ret=-95)
    exchange = scene.play().only
    assert (exchange["status"], exchange["errno"]) == ("error", 95)


def test_threads_and_calls_do_not_mix() -> None:
    scene = Scene()
    for number in range(11):
        sockopt(scene, "setsockopt", at=1000 * number)
        sockopt(scene, "getsockopt", ((120, 150),), at=1000 * number + 400)
    exchanges = scene.play(seed=1).exchanges
    assert exchanges["channel"].tolist() == ["setsockopt", "getsockopt"] * 11
    assert exchanges["logged"].all()
    assert (exchanges["unexplained_ns"] == 0).all()
    assert exchanges["token"].tolist() == [1000 * n + d for n in range(11) for d in (3, 403)]


def test_a_call_that_no_log_knows() -> None:
    scene = Scene()
    sockopt(scene, "setsockopt", at=1000)
    sockopt(scene, "setsockopt", logged=False)
    exchanges = scene.play().exchanges
    assert exchanges["status"].tolist() == ["unmatched_kernel", "ok"]
    assert stages_of(exchanges.iloc[0]) == {
        "entry": 40, "handler": 50, "exit": 170, "unexplained": 0,
    }  # fmt: skip
