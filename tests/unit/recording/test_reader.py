# SPDX-License-Identifier: GPL-2.0-or-later
"""What is opened: whole, cut short, damaged, foreign."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from recording_builder import META, calls, rewrite, tasks, write

from tracer.errors import TracerError
from tracer.recording import (
    KINDS,
    RECORD_KINDS,
    SCHEMAS,
    RecordingWriter,
    open_recording,
    row_sum,
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    run = tmp_path / "run"
    writer = RecordingWriter(run, META)
    writer.append(send_calls=calls(23), tasks=tasks(7))
    writer.flush()
    writer.append(send_calls=calls(101, first=23))
    writer.close({"stats": {"before": {"netlink": 1}}})

    opened = open_recording(run)
    assert opened.damage == []
    assert opened.meta["clean"] is True
    assert opened.meta["command"] == ["true"]
    assert opened.meta["stats"] == {"before": {"netlink": 1}}
    assert opened.meta["segments"] == dict.fromkeys(KINDS, 0) | {"send_calls": 124, "tasks": 7}
    assert list(opened.send_calls.columns) == SCHEMAS["send_calls"].names
    assert opened.send_calls["enter_ns"].tolist() == [n * 1000 for n in range(124)]
    assert opened.send_calls["token"].tolist() == [2**63 + n for n in range(124)]
    assert opened.send_calls["seq"].tolist() == [2**31 + n for n in range(124)]
    assert opened.tasks["comm"].tolist() == [f"task{n}" for n in range(7)]


def test_columns_have_the_documented_types(tmp_path: Path) -> None:
    write(tmp_path / "run")
    opened = open_recording(tmp_path / "run")
    for kind in KINDS:
        frame = getattr(opened, kind)
        for f in SCHEMAS[kind]:
            if f.name != "comm":
                assert frame[f.name].dtype == f.type.to_pandas_dtype(), f.name


def test_an_empty_recording_has_all_columns(tmp_path: Path) -> None:
    write(tmp_path / "run", segments=())
    opened = open_recording(tmp_path / "run")
    assert opened.damage == []
    for kind in KINDS:
        frame = getattr(opened, kind)
        assert len(frame) == 0
        assert list(frame.columns) == SCHEMAS[kind].names


def test_without_a_close_it_opens_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    opened = open_recording(tmp_path / "run")
    assert len(opened.send_calls) == 131
    assert opened.damage == ["the recording was not closed: rows after the last segment are lost"]


def test_an_open_segment_is_named(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    (tmp_path / "run/send_calls/000003.parquet.part").write_bytes(b"PAR1")
    assert (
        "send_calls/000003.parquet.part: open segment lost"
        in open_recording(tmp_path / "run").damage
    )


def test_a_truncated_segment_in_the_middle_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    segment = tmp_path / "run/send_calls/000001.parquet"
    segment.write_bytes(segment.read_bytes()[:-100])
    opened = open_recording(tmp_path / "run")
    assert opened.send_calls["enter_ns"].tolist() == [
        n * 1000 for n in [*range(23), *range(124, 131)]
    ]
    assert any(
        line.startswith("send_calls/000001.parquet: segment lost, it cannot be read")
        for line in opened.damage
    )


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "run")
    segment = tmp_path / "run/send_calls/000000-000002.parquet"
    content = bytearray(segment.read_bytes())
    content[200] ^= 0xFF
    segment.write_bytes(content)
    opened = open_recording(tmp_path / "run")
    assert len(opened.send_calls) == 0
    assert "send_calls: 0 rows found, 131 were written" in opened.damage


def test_a_missing_segment_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    (tmp_path / "run/send_calls/000001.parquet").unlink()
    opened = open_recording(tmp_path / "run")
    assert len(opened.send_calls) == 30
    assert "send_calls: segments 1 to 1 are missing" in opened.damage


def test_a_removed_file_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "run")
    (tmp_path / "run/send_calls/000000-000002.parquet").unlink()
    assert open_recording(tmp_path / "run").damage == ["send_calls: 0 rows found, 131 were written"]


def test_a_stop_between_merge_and_removal_counts_nothing_twice(tmp_path: Path) -> None:
    write(tmp_path / "one", close=False)
    write(tmp_path / "two")
    (tmp_path / "two/send_calls/000000-000002.parquet").rename(
        tmp_path / "one/send_calls/000000-000002.parquet"
    )
    opened = open_recording(tmp_path / "one")
    assert opened.send_calls["enter_ns"].tolist() == [n * 1000 for n in range(131)]
    assert len(opened.damage) == 1


def test_a_merged_file_that_cannot_be_read_leaves_its_segments(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    (tmp_path / "run/send_calls/000000-000002.parquet").write_bytes(b"PAR1")
    opened = open_recording(tmp_path / "run")
    assert opened.send_calls["enter_ns"].tolist() == [n * 1000 for n in range(131)]
    assert any(line.startswith("send_calls/000000-000002.parquet: seg") for line in opened.damage)


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match="there is no such directory"):
        open_recording(tmp_path / "run")


def test_a_directory_without_meta(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match=r"it has no meta\.json"):
        open_recording(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": "1", "clean": true}'])
def test_a_meta_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(TracerError, match=r"meta\.json"):
        open_recording(tmp_path)


@pytest.mark.parametrize(
    ("schema", "todo"),
    [(1, "read it with tracer 0.1, or record again"), (2, "read it with tracer 0.1, or record"),
     (4, "upgrade tracer")],
)  # fmt: skip
def test_another_schema(tmp_path: Path, schema: int, todo: str) -> None:
    write(tmp_path / "run")
    meta = json.loads((tmp_path / "run/meta.json").read_text())
    (tmp_path / "run/meta.json").write_text(json.dumps(meta | {"schema": schema}))
    with pytest.raises(TracerError) as failure:
        open_recording(tmp_path / "run")
    assert f"it is of schema {schema}, this version reads 3; {todo}" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_byte_that_was_changed_costs_its_file(tmp_path: Path) -> None:
    """Each page has a checksum; its header has not, but there is nothing in it that rows need."""
    write(tmp_path / "run")
    file = tmp_path / "run/send_calls/000000-000002.parquet"
    whole, rows = file.read_bytes(), open_recording(tmp_path / "run").send_calls
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    lost = []
    for at in range(20, end, 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        opened = open_recording(tmp_path / "run")
        if not opened.damage:
            assert row_sum("send_calls", opened.send_calls) == row_sum("send_calls", rows), at
            continue
        assert opened.damage[0].startswith("send_calls/000000-000002.parquet: segment lost"), at
        lost.append(at)
    assert len(lost) > end / 97 / 2


def test_a_missing_column(tmp_path: Path) -> None:
    write(tmp_path / "run")
    rewrite(tmp_path / "run/send_calls/000000-000002.parquet", lambda t: t.drop_columns(["portid"]))
    with pytest.raises(TracerError, match="column portid is missing"):
        open_recording(tmp_path / "run")


def test_a_column_of_the_wrong_type(tmp_path: Path) -> None:
    write(tmp_path / "run")
    place = SCHEMAS["send_calls"].names.index("enter_ns")
    rewrite(
        tmp_path / "run/send_calls/000000-000002.parquet",
        lambda t: t.set_column(place, "enter_ns", t["enter_ns"].cast(pa.float64())),
    )
    with pytest.raises(TracerError, match="column enter_ns is double, it should be int64"):
        open_recording(tmp_path / "run")


@pytest.mark.parametrize(("kind", "point"), [("opt_calls", 5), ("extras", 11), ("extras", 3)])
def test_a_point_that_a_newer_tracer_recorded(tmp_path: Path, kind: str, point: int) -> None:
    writer = RecordingWriter(tmp_path / "run", META)
    writer.append(**{kind: calls(23, kind=kind, point=point)})
    writer.close({})
    with pytest.raises(TracerError, match=rf"{kind} name the point {point}, .*; upgrade tracer"):
        open_recording(tmp_path / "run")


def test_every_kind_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", META)
    tables = {
        kind: calls(23, kind=kind, point=5 if kind == "extras" else 3)
        for kind in KINDS if kind != "tasks"
    } | {"tasks": tasks(23)}  # fmt: skip
    writer.append(**tables)
    writer.close({})
    opened = open_recording(tmp_path / "run")
    for kind, table in tables.items():
        frame = getattr(opened, kind)
        for name in SCHEMAS[kind].names:
            assert frame[name].tolist() == table[name].to_pylist(), (kind, name)
        if kind in RECORD_KINDS:
            assert row_sum(kind, frame) == row_sum(kind, table.to_pandas())


def test_a_name_in_the_footer_that_is_no_text_any_more(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    segment = tmp_path / "run/send_calls/000001.parquet"
    content = segment.read_bytes()
    assert content.count(b"portid") > 1
    segment.write_bytes(content.replace(b"portid", b"porti\xed"))
    opened = open_recording(tmp_path / "run")
    assert len(opened.send_calls) == 30
    assert any(line.startswith("send_calls/000001.parquet: segment lost") for line in opened.damage)


def test_a_recording_that_must_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "run")

    def refuse(*_args: object, **_kwargs: object) -> bool:
        raise PermissionError(13, "Permission denied")

    # First its own mode, then that of a directory above it.
    for step in ("lstat", "is_dir"):
        monkeypatch.setattr(Path, step, refuse)
        with pytest.raises(TracerError, match=r"you may not read it; make it readable to you$"):
            open_recording(tmp_path / "run")


def test_a_name_too_long_for_a_directory(tmp_path: Path) -> None:
    with pytest.raises(
        TracerError, match=r"cannot open the recording .*: File name too long; give"
    ):
        open_recording(tmp_path / ("n" * 300))
