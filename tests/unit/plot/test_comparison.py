# SPDX-License-Identifier: GPL-2.0-or-later
"""Two sides beside each other: the numbers are the report's, and nothing is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_builder
from plot_doubles import MARKUP, PATHS, crowded, empty, staged, varied
from recording_copies import ALL_CHANNELS, Copy
from report_doubles import GET, META, NETLINK, exchanges, untrusted

import tracer
from tracer import plot
from tracer.errors import TracerError
from tracer.plot.style import CHANNEL_COLOURS, MUTED, Drawing
from tracer.units import time_text

ECHO = ("netlink", "msgchan echo")


def texts(drawing: Drawing) -> list[str]:
    return [text.get_text() for text in drawing.texts]


def echoes(count: int = 101, **stages: int) -> Any:
    return staged(exchanges(count, *ECHO, NETLINK | stages))


def bars_and_curves(drawing: Drawing) -> list[Any]:
    return [axes for axes in drawing.axes if axes.axison]


def test_medians_of_both_sides_and_the_change() -> None:
    drawing = plot.compare(echoes(), echoes(handler=70, queue=10))
    written = texts(drawing)
    for stage, new in (NETLINK | {"handler": 70, "queue": 10}).items():
        at = written.index(stage)
        base = NETLINK[stage]
        assert written[at + 1 : at + 3] == [time_text(51 * base), time_text(51 * new)]
    assert written[written.index("handler") + 3 :][:2] == ["+1.02 µs", "+40.0%"]
    assert written[written.index("queue") + 3 :][:2] == ["-1.53 µs", "-75.0%"]
    assert written[written.index("wake") + 3 :][:2] == ["0 ns", "same"]
    assert "p50 10.2 µs of 101, then 9.69 µs of 101 (-5.0%)" in written


def test_no_share_of_nothing_is_told() -> None:
    nothing = echoes(**dict.fromkeys(NETLINK, 0))
    assert "p50 0 ns of 101, then 10.2 µs of 101" in texts(plot.compare(nothing, echoes()))
    assert "p50 0 ns of 101, then 0 ns of 101 (same)" in texts(plot.compare(nothing, nothing))


def test_the_bars_are_the_medians() -> None:
    drawing = plot.compare(echoes(), echoes(handler=70))
    bars = bars_and_curves(drawing)[0]
    found = [
        (patch.get_width() * 1000, patch.get_facecolor()[:3] == to_rgb(MUTED))
        for patch in bars.patches
    ]
    base = [(pytest.approx(51 * ns), True) for ns in NETLINK.values()]
    new = [(pytest.approx(51 * ns), False) for ns in (NETLINK | {"handler": 70}).values()]
    assert found == base + new
    assert [bars.get_xlabel(), bars.get_yticks().tolist()] == ["median, µs", []]


def test_bars_lie_beside_their_stage_base_above_new() -> None:
    drawing = plot.compare(echoes(), echoes(handler=70))
    bars = bars_and_curves(drawing)[0]
    panel = bars.get_window_extent()
    middles = {}
    for text in drawing.texts:
        box = text.get_window_extent()
        if box.x1 < panel.x0 and panel.y0 < box.y0 < panel.y1:
            middles[text.get_text()] = (box.y0 + box.y1) / 2
    assert list(middles) == list(NETLINK)
    half = len(NETLINK)
    for base, new, middle in zip(
        bars.patches[:half], bars.patches[half:], middles.values(), strict=True
    ):
        upper, lower = (patch.get_window_extent() for patch in (base, new))
        assert upper.y1 > middle > lower.y0
        assert upper.y0 >= lower.y1
        assert panel.x0 - 1e-6 <= upper.x0 < max(upper.x1, lower.x1) < panel.x1


def to_rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def test_the_curves_are_the_distributions() -> None:
    base, new = varied({ECHO: 2003}), varied({ECHO: 301}, seed=5)
    curves = bars_and_curves(plot.compare(base, new))[1]
    assert curves.get_xscale() == "log"
    for run, line, colour in zip(
        (base, new), curves.lines, (MUTED, CHANNEL_COLOURS["netlink"]), strict=True
    ):
        x, y = line.get_xdata(), line.get_ydata()
        assert line.get_color() == colour
        assert line.get_drawstyle() == "steps-post"
        assert (y[0], y[-1], len(x) <= 401) == (0, 1, True)
        totals = run.exchanges["total_ns"].to_numpy(float)
        shares = [(totals <= value).mean() for value in x[1:]]
        np.testing.assert_allclose(y[1:], shares)


def test_several_runs_are_one_side(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    runs = [
        tracer.load(run_builder.record(tmp_path / name, run_builder.times(random, 53, add=add)))
        for name, add in (("a", {}), ("b", {"copy": 1000}), ("c", {"copy": 2000}))
    ]
    drawing = runs[0].plot.compare(runs[1:])
    bars, curves = bars_and_curves(drawing)
    assert (len(bars.patches), len(curves.lines)) == (3 * 10, 3)
    medians = [run.exchanges["copy_ns"].sort_values().iloc[26] for run in runs]
    level = (int(medians[1]) + int(medians[2])) / 2
    written = texts(drawing)
    assert written[written.index("copy") + 2] == time_text(level)
    assert drawing.described.startswith(f"base: {tmp_path}/a; new: {tmp_path}/b, {tmp_path}/c; ")


@pytest.mark.parametrize("swap", [False, True])
def test_a_type_of_one_side_only_is_shown(swap: bool) -> None:
    both = staged()
    one = staged(exchanges(101, *ECHO, NETLINK))
    drawing = plot.compare(one, both) if swap else plot.compare(both, one)
    side = "new" if swap else "base"
    written = texts(drawing)
    assert f"only in {side}: p50 1.20 µs of 23" in written
    at = written.index("entry")
    assert written[at : at + 3] == ["entry", "360 ns", "handler"]
    panel = next(axes for axes in bars_and_curves(drawing) if len(axes.patches) == len(GET))
    assert {patch.get_facecolor()[:3] == to_rgb(MUTED) for patch in panel.patches} == {not swap}


def test_a_stage_of_one_side_only_has_no_change() -> None:
    stages = {name: ns for name, ns in NETLINK.items() if name != "copy"}
    written = texts(plot.compare(staged(exchanges(101, *ECHO, stages)), echoes()))
    at = written.index("copy")
    assert written[at : at + 3] == ["copy", "612 ns", "recv_exit"]


def test_unexplained_is_shown_where_there_is_some() -> None:
    frame = exchanges(101, *ECHO, NETLINK, unexplained_ns=7)
    assert "unexplained" in texts(plot.compare(echoes(), staged(frame)))
    assert "unexplained" not in texts(plot.compare(echoes(), echoes()))


def test_a_run_without_exchanges() -> None:
    written = texts(plot.compare(empty(), echoes()))
    assert "base runs/one has no completed exchange" in written
    assert "only in new: p50 10.2 µs of 101" in written
    (nothing,) = texts(plot.compare(empty(), empty()))
    assert nothing.startswith("no exchange was completed; base: runs/one")


def test_distrust_is_marked() -> None:
    base, new = staged(), staged(ledger=untrusted().ledger)
    drawing = plot.compare(base, new)
    (told,) = (text for text in texts(drawing) if "is not trusted" in text)
    assert told.startswith("new runs/one is not trusted: handler calls: module 1,234,567")
    assert told in drawing.described
    for curves in bars_and_curves(drawing)[1::2]:
        assert [line.get_linestyle() for line in curves.lines] == ["-", "--"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"clock": {"name": "CLOCK_MONOTONIC", "source": "hpet"}},
            "the clock differs: CLOCK_MONOTONIC from tsc against CLOCK_MONOTONIC from hpet",
        ),
        ({"kernel": "6.12.1"}, "the kernel differs: 6.1.0-56-amd64 x86_64 against 6.12.1 x86_64"),
        ({"plan": []}, "the plan differs"),
    ],
)
def test_what_is_not_comparable_is_drawn_and_said(change: dict[str, Any], told: str) -> None:
    drawing = plot.compare(staged(), staged(meta=META | change))
    assert f"not comparable, {told}" in texts(drawing)
    assert "not comparable" not in plot.compare(staged(), staged()).described


def test_a_doctored_recording(tmp_path: Path) -> None:
    copy = Copy(tmp_path)

    def longer_copies(calls: Any) -> Any:
        return calls.assign(copied_ns=calls["copied_ns"] + 900)

    copy.rows("recv_calls", longer_copies)
    run = tracer.load(ALL_CHANNELS)
    drawing = run.plot.compare(copy.load())
    written = texts(drawing)
    at = written.index("copy", written.index("netlink · msgchan echo"))
    echoes = run.exchanges[run.exchanges["name"] == "msgchan echo"]
    median = echoes["copy_ns"].median() / 1000
    told = [f"{median:.2f} µs", f"{median + 0.9:.2f} µs", "+900 ns", f"{0.9 / median:+.1%}"]
    assert written[at : at + 5] == ["copy", *told]
    assert "is not trusted: rows of recv_calls" in drawing.described


def test_nobody_to_compare_with() -> None:
    with pytest.raises(TracerError, match="there is no other run"):
        plot.compare(staged(), [])


def test_no_text_overlaps_or_is_cut() -> None:
    counts = {(channel, "a type of a rather long name, command 17"): 53 for channel in PATHS}
    one, other = varied(counts), varied({("netlink", MARKUP): 53}, seed=5)
    for drawing in (plot.compare(one, one), plot.compare(other, [other] * 3)):
        width, height = drawing.get_size_inches() * 72
        boxes = [text.get_window_extent() for text in drawing.texts]
        for text, box in zip(drawing.texts, boxes, strict=True):
            assert box.x0 >= 0, text
            assert box.x1 <= width, text
            assert 0 <= box.y0 < box.y1 <= height, text
        places = np.array([[box.x0, box.y0, box.x1, box.y1] for box in boxes])
        x0, y0, x1, y1 = places.T
        over = (np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0) > 1) & (
            np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0) > 1
        )
        np.fill_diagonal(over, False)
        assert not [(drawing.texts[a], drawing.texts[b]) for a, b in np.argwhere(over)]


def test_names_are_no_markup() -> None:
    drawing = plot.compare(crowded(), crowded())
    assert "<b>" not in drawing.svg()
    assert MARKUP in drawing.described
