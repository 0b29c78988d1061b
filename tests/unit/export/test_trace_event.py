# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of slices, arguments and flows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tracer.export import trace_event
from tracer.export.trace_event import Details, Flows, Slices, head, tail
from tracer.export.tracks import Track

TRACKS = [Track(5, 7, "x", 0), Track(5, 8, "y", 0)]


def details(**columns: Any) -> Details:
    return Details.of(pd.DataFrame(columns), tuple(columns))


def arguments(of: Details, rows: int) -> list[Any]:
    found = of.text(np.arange(rows)).to_pylist()
    assert len(found) == rows
    return [None if text is None else json.loads(f"{{{text[1:]}}}")["args"] for text in found]


def test_what_is_absent_zero_or_empty_is_no_argument() -> None:
    of = details(
        size=[0, 4, 5],
        ret=pd.array([None, -22, 0], "Int64"),
        status=pd.Categorical(["", "ok", None], categories=["ok", ""]),
    )
    assert arguments(of, 3) == [None, {"size": 4, "ret": -22, "status": "ok"}, {"size": 5}]


def test_a_token_is_hexadecimal_text() -> None:
    of = details(token=np.array([0, 1, 2**64 - 1], np.uint64))
    assert arguments(of, 3) == [
        None, {"token": "0x0000000000000001"}, {"token": "0xffffffffffffffff"}
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['"', "\\", "\n", "µ", "\udcff", "\x00"])
def test_texts_are_escaped(text: str) -> None:
    of = details(status=pd.Categorical.from_codes([0], dtype=pd.CategoricalDtype(["a"])))
    if text != "\udcff":  # Arrow holds no text that cannot be encoded
        of = details(status=pd.Categorical([text]))
        assert arguments(of, 1) == [{"status": text}]
    slices = made(1, of, label=[("kernel", text)])
    assert read(slices)[0]["name"] == text


def made(count: int, of: Details, label: list[tuple[str, str]] | None = None) -> Slices:
    number = np.arange(count)
    return Slices(
        number % 2, number * 1_001, number * 2_003, number * 0, np.where(number % 3, number, -1),
        TRACKS, label or [("kernel", "f")], [(1, of), (count, of)],
    )  # fmt: skip


def read(lines: Slices | Flows) -> list[dict[str, Any]]:
    text = b"".join(memoryview(block) for block in lines.text()).decode()
    assert text == "" or text.endswith("},\n")
    return [json.loads(line.rstrip(",")) for line in text.splitlines()]


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(trace_event, "BLOCK", block)
    found = read(made(7, details(size=np.arange(20, 27))))
    assert [line["tid"] for line in found] == [7, 8, 7, 8, 7, 8, 7]
    assert [line["ts"] for line in found] == [0, 1.001, 2.002, 3.003, 4.004, 5.005, 6.006]
    assert [line["dur"] for line in found] == [0, 1.002, 2.004, 3.006, 4.008, 5.01, 6.012]
    sizes = [line.get("args", {}).get("size") for line in found]
    assert sizes == [None, 20, 21, None, 23, 24, None]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_flows(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(trace_event, "BLOCK", block)
    at = np.array([1, 2_000, 3_999])
    found = read(Flows(np.array(["s", "t", "f"]), at * 0 + 4, np.array([0, 1, 0]), at, TRACKS))
    assert [(line["ph"], line["id"], line["ts"]) for line in found] == [
        ("s", 4, 0.001), ("t", 4, 2), ("f", 4, 3.999)
    ]  # fmt: skip
    assert [line["tid"] for line in found] == [7, 8, 7]
    assert [line.get("bp") for line in found] == [None, None, "e"]


def test_nothing_is_no_text() -> None:
    empty = np.zeros(0, np.int64)
    assert read(Slices(empty, empty, empty, empty, empty, [], [], [])) == []
    assert read(Flows(np.array([], "U1"), empty, empty, empty, [])) == []
    assert json.loads(head({"host": "a"}) + tail(iter(()))) == {
        "displayTimeUnit": "ns", "otherData": {"host": "a"}, "traceEvents": []
    }  # fmt: skip
