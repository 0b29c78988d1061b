# SPDX-License-Identifier: GPL-2.0-or-later
"""The joins that all correlation is made of, against loops in plain Python."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from event_builder import Scene

from tracer.correlate.columns import (
    NONE,
    Events,
    among,
    ancestor,
    codes_of,
    events_of,
    joint_keys,
    latest,
    rank,
    take,
)
from tracer.event import CODE

SEEDS = range(20)


def tree(rng: np.random.Generator) -> Scene:
    """Calls nested at random in a few threads, all times different within a thread."""
    scene = Scene()
    for tid in (1, 2, 3):
        clock = iter(range(0, 10_000, int(rng.integers(1, 4))))

        def grow(depth: int, tid: int = tid, clock: Iterator[int] = clock) -> None:
            start = next(clock)
            for _child in range(int(rng.integers(0, 4 - min(depth, 3)))):
                grow(depth + 1)
            point = "netlink_sendmsg" if rng.random() < 0.5 else "netlink_dump"
            scene.span(point, start, next(clock), tid=tid, depth=depth)

        for _root in range(int(rng.integers(1, 5))):
            grow(0)
    return scene


def enclosing(events: Events, index: int) -> int:
    """The shortest call of the same thread around this one."""
    best = NONE
    for other in range(len(events)):
        if (
            events.thread[other] == events.thread[index]
            and events.depth[other] == events.depth[index] - 1
            and events.start_ns[other] <= events.start_ns[index]
            and events.end_ns[other] >= events.end_ns[index]
        ):
            best = other
    return best


@pytest.mark.parametrize("seed", SEEDS)
def test_parents_and_ancestors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = tree(rng).frames()["events"]
    frame = frame.sample(frac=0.9, random_state=seed).reset_index(drop=True)
    events = events_of(frame)
    parents = [enclosing(events, index) for index in range(len(events))]
    assert events.parent.tolist() == parents
    wanted = events.at("netlink_dump")
    index = np.append(np.arange(len(events)), NONE)
    expected = []
    for start in index.tolist():
        at = parents[start] if start >= 0 else NONE
        while at >= 0 and not wanted[at]:
            at = parents[at]
        expected.append(at)
    assert ancestor(events, index, wanted).tolist() == expected
    np.testing.assert_array_equal(frame["start_ns"].to_numpy()[events.row], events.start_ns)


def test_parents_at_equal_times() -> None:
    """A clock that did not advance: depth still tells which call encloses which."""
    scene = Scene()
    with scene.call("netlink_sendmsg", 5, 5), scene.call("netlink_unicast", 5, 5):
        scene.span("msgchan_handler", 5)
    events = events_of(scene.frames()["events"].iloc[::-1])
    assert events.depth.tolist() == [0, 1, 2]
    assert events.parent.tolist() == [NONE, 0, 1]


def test_an_orphan_has_no_parent() -> None:
    scene = Scene()
    scene.span("netlink_sendmsg", 0, 50)
    scene.span("netlink_unicast", 60, 70, depth=1)
    scene.span("msgchan_handler", 62, 64, depth=2)
    events = events_of(scene.frames()["events"])
    assert events.parent.tolist() == [NONE, NONE, 1]


def test_idle_tasks_of_two_cpus_are_two_threads() -> None:
    scene = Scene()
    scene.span("netlink_unicast", 0, 50, tid=0, cpu=0)
    scene.span("__netlink_sendskb", 10, tid=0, cpu=1, depth=1)
    assert events_of(scene.frames()["events"]).parent.tolist() == [NONE, NONE]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("left", "right"), [(30, 30), (1, 9), (0, 5), (5, 0), (0, 0)])
def test_latest(seed: int, left: int, right: int) -> None:
    rng = np.random.default_rng(seed)
    left_key, left_time = rng.integers(0, 4, left), rng.integers(0, 20, left)
    right_key, right_time = rng.integers(0, 4, right), rng.integers(0, 20, right)
    expected = []
    for key, time in zip(left_key, left_time, strict=True):
        before = [i for i in range(right) if right_key[i] == key and right_time[i] <= time]
        expected.append(max(before, key=lambda i: (right_time[i], i), default=NONE))
    assert latest(left_key, left_time, right_key, right_time).tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [0, 1, 40])
def test_rank(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 3, count), rng.integers(0, 3, count)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    expected = [pairs[:i].count(pair) for i, pair in enumerate(pairs)]
    assert rank(first, second).tolist() == expected
    assert rank(first).tolist() == [first[:i].tolist().count(v) for i, v in enumerate(first)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sizes", [(0, 0), (0, 4), (20, 15)])
def test_joint_keys(seed: int, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([-(2**63), -1, 0, 7, 2**63 - 1])
    tables = [tuple(rng.choice(values, size) for _column in range(3)) for size in sizes]
    keys = joint_keys(*tables)
    assert [key.size for key in keys] == list(sizes)
    rows = [row for table in tables for row in zip(*(c.tolist() for c in table), strict=True)]
    key = np.concatenate(keys).tolist()
    assert len(set(key)) == len(set(rows))
    assert len(set(zip(key, rows, strict=True))) == len(set(rows))


def test_take_and_among_of_none() -> None:
    values, index = np.array([5, 6, 7]), np.array([2, NONE, 0])
    assert take(values, index).tolist() == [7, NONE, 5]
    assert take(values[:0], np.array([NONE])).tolist() == [NONE]
    wanted = np.array([True, False, True])
    assert among(wanted, index).tolist() == [True, False, True]
    assert among(wanted, np.array([1, NONE])).tolist() == [False, False]
    assert among(wanted[:0], np.array([NONE])).tolist() == [False]


def test_codes_do_not_depend_on_the_order_of_categories() -> None:
    points = Scene()
    for point in ("poll", "netlink_sendmsg", "poll", "netlink_recvmsg"):
        points.span(point, 0, 1)
    codes = codes_of(points.frames()["events"]["point"])
    assert codes.tolist() == [
        CODE[p] for p in ("poll", "netlink_sendmsg", "poll", "netlink_recvmsg")
    ]
    assert codes_of(Scene().frames()["events"]["point"]).size == 0


def test_no_events() -> None:
    events = events_of(Scene().frames()["events"])
    assert len(events) == 0
    assert events.take("start_ns", np.array([NONE])).tolist() == [NONE]
    with pytest.raises(AttributeError, match="no_such_column"):
        _ = events.no_such_column


def test_the_idle_tasks_of_all_cpus_are_threads_of_their_own() -> None:
    scene = Scene()
    for number in range(5):
        scene.span("netlink_sendmsg", number, tid=0, cpu=number)
        scene.span("netlink_sendmsg", number, tid=number + 1, cpu=number)
    events = events_of(scene.frames()["events"])
    assert len(np.unique(events.thread)) == 10
