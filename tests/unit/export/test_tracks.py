# SPDX-License-Identifier: GPL-2.0-or-later
"""Which slices share a line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tracer.export.tracks import FIRST_FREE, Track, Tracks, _place, lanes, metadata, names


def placed(*spans: tuple[int, int], nest: bool, depth: list[int] | None = None) -> list[int]:
    start, end = np.array(spans).T
    depths = np.array(depth or [0] * len(spans))
    return lanes(np.zeros(len(spans), np.int64), start, end, depths, nest=nest)[1].tolist()


@pytest.mark.parametrize(
    ("spans", "nested", "flat"),
    [
        ([(0, 10), (10, 20)], [0, 0], [0, 0]),
        ([(0, 10), (2, 8)], [0, 0], [0, 1]),
        ([(0, 5), (0, 10)], [0, 0], [1, 0]),
        ([(0, 10), (2, 10), (10, 10)], [0, 0, 0], [0, 1, 0]),
        ([(0, 10), (5, 15)], [0, 1], [0, 1]),
        ([(0, 10), (5, 15), (12, 20)], [0, 1, 0], [0, 1, 0]),
        ([(5, 15), (0, 10)], [1, 0], [1, 0]),
    ],
)
def test_a_lane_holds_what_can_be_drawn(
    spans: list[tuple[int, int]], nested: list[int], flat: list[int]
) -> None:
    assert placed(*spans, nest=True) == nested
    assert placed(*spans, nest=False) == flat


def test_of_equal_slices_the_outer_comes_first() -> None:
    same = np.zeros(2, np.int64)
    order, lane = lanes(same, same, same + 5, np.array([1, 0]), nest=True)
    assert order.tolist() == [1, 0]
    assert lane.tolist() == [0, 0]


def test_tracks_do_not_disturb_each_other() -> None:
    track = np.array([1, 2, 1])
    _order, lane = lanes(
        track, np.array([0, 5, 20]), np.array([10, 15, 30]), np.zeros(3, np.int64), nest=False
    )
    assert lane.tolist() == [0, 0, 0]


def test_no_two_slices_of_a_lane_overlap_unless_nested() -> None:
    random = np.random.default_rng(1)
    start = random.integers(0, 1000, 500)
    end = start + random.integers(0, 100, 500)
    track = random.integers(0, 3, 500)
    for nest in (True, False):
        _order, lane = lanes(track, start, end, np.zeros(500, np.int64), nest=nest)
        for key in {*zip(track.tolist(), lane.tolist(), strict=True)}:
            here = (track == key[0]) & (lane == key[1])
            for b, e in zip(start[here], end[here], strict=True):
                cut = (start[here] < b) & (b < end[here]) & (end[here] < e)
                assert not cut.any()
                if not nest:
                    assert not ((start[here] < b) & (b < end[here])).any()


@pytest.mark.parametrize("nest", [True, False])
@pytest.mark.parametrize("longest", [3, 12, 60])
def test_lanes_are_those_of_a_loop_over_all_slices(nest: bool, longest: int) -> None:
    """Most slices need no loop: short ones seldom cross, long ones nearly always."""
    random = np.random.default_rng(longest)
    for _ in range(100):
        count = int(random.integers(1, 60))
        track, depth = random.integers(0, 3, count), random.integers(0, 3, count)
        start = random.integers(0, 60, count)
        end = start + random.integers(0, longest, count)
        order, lane = lanes(track, start, end, depth, nest=nest)
        open_ends: dict[int, list[list[int]]] = {}
        for row in order.tolist():
            here = open_ends.setdefault(int(track[row]), [])
            assert lane[row] == _place(here, int(start[row]), int(end[row]), nest)


def test_a_track_is_handed_out_once() -> None:
    tracks = Tracks()
    assert tracks.thread(5, 7, "x", 0) == Track(5, 7, "x", 0)
    assert tracks.thread(5, 7, "x", 0) is tracks.thread(5, 7, "x", 0)
    second = tracks.thread(5, 7, "x", 1)
    assert (second.tid, second.name) == (FIRST_FREE + 1, "x (2)")
    socket = tracks.socket(5, (30, 5), "netlink 30", 0)
    assert (socket.pid, socket.tid, socket.order) == (5, FIRST_FREE + 2, 1)
    assert tracks.cpu(3, 0).name == "idle, cpu 3"
    assert len({track.tid for track in tracks.found.values()}) == len(tracks.found)


def test_names_are_the_last_ones() -> None:
    """A process has its first thread's, however late others came; else what is known."""
    tasks = pd.DataFrame(
        {
            "start_ns": [3, 1, 4, 5],
            "tid": [5, 5, 6, 8],
            "tgid": [5, 5, 5, 7],
            "comm": ["after exec", "sh", "worker", "lone"],
        }
    )
    threads, processes = names(tasks)
    assert threads == {5: "after exec", 6: "worker", 8: "lone"}
    assert processes == {5: "after exec", 7: "lone"}


def test_every_process_and_track_is_named() -> None:
    tracks = Tracks()
    tracks.thread(5, 7, "x", 0)
    tracks.cpu(0, 0)
    told = list(metadata(tracks, {}))
    assert ("process_name", 5, 0, "process 5") in told
    assert ("process_name", 0, 0, "kernel") in told
    assert ("thread_name", 5, 7, "x") in told
    assert ("thread_sort_index", 5, 7, 0) in told
