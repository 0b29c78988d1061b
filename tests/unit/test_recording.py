# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory on disk: written, cut short, damaged, foreign, opened."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracer import recording
from tracer.errors import TracerError
from tracer.recording import SCHEMAS, RecordingWriter, open_recording

META = {"command": ["true"], "kernel": "6.1.0"}


def events(rows: int, first: int = 0, points: tuple[str, ...] = ("netlink_unicast",)) -> pa.Table:
    """Rows that differ from each other and whose values can be told from `first`."""
    numbers = np.arange(first, first + rows)
    columns: dict[str, Any] = {
        f.name: pa.array(numbers % 251, type=f.type) for f in SCHEMAS["events"] if f.name != "point"
    }
    columns["start_ns"] = pa.array(numbers * 1000)
    columns["token"] = pa.array(numbers.astype(np.uint64) + np.uint64(2**63))
    columns["seq"] = pa.array((numbers + 2**31).astype(np.uint32))
    columns["point"] = pa.array([points[n % len(points)] for n in numbers]).dictionary_encode()
    return pa.table(columns)


def tasks(rows: int) -> pa.Table:
    numbers = np.arange(rows)
    columns = {f.name: pa.array(numbers, type=f.type) for f in SCHEMAS["tasks"] if f.name != "comm"}
    return pa.table(columns | {"comm": pa.array([f"task{n}" for n in numbers])})


def write(path: Path, segments: tuple[int, ...] = (23, 101, 7), close: bool = True) -> None:
    writer = RecordingWriter(path, META)
    first = 0
    for rows in segments:
        writer.append(events=events(rows, first))
        writer.flush()
        first += rows
    if close:
        writer.close({"stats": {"before": {}}})


def rewrite(file: Path, change: Any) -> None:
    table = pq.read_table(file)
    pq.write_table(change(table), file)


def files(path: Path, kind: str = "events") -> list[str]:
    return sorted(f.name for f in (path / kind).iterdir())


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    run = tmp_path / "run"
    writer = RecordingWriter(run, META)
    writer.append(events=events(23), tasks=tasks(7))
    writer.flush()
    writer.append(events=events(101, first=23, points=("nf_getsockopt", "netlink_unicast")))
    writer.close({"stats": {"before": {"netlink": 1}}})

    opened = open_recording(run)
    assert opened.damage == []
    assert opened.meta["clean"] is True
    assert opened.meta["command"] == ["true"]
    assert opened.meta["stats"] == {"before": {"netlink": 1}}
    assert opened.meta["segments"] == {"events": 124, "sends": 0, "tasks": 7}
    assert list(opened.events.columns) == SCHEMAS["events"].names
    assert opened.events["start_ns"].tolist() == [n * 1000 for n in range(124)]
    assert opened.events["token"].tolist() == [2**63 + n for n in range(124)]
    assert opened.events["seq"].tolist() == [2**31 + n for n in range(124)]
    assert set(opened.events["point"][:23]) == {"netlink_unicast"}
    assert set(opened.events["point"][23:]) == {"netlink_unicast", "nf_getsockopt"}
    assert opened.tasks["comm"].tolist() == [f"task{n}" for n in range(7)]


def test_columns_have_the_documented_types(tmp_path: Path) -> None:
    write(tmp_path / "run")
    opened = open_recording(tmp_path / "run")
    for kind in recording.KINDS:
        frame = getattr(opened, kind)
        for f in SCHEMAS[kind]:
            if f.name == "point":
                assert isinstance(frame["point"].dtype, pd.CategoricalDtype)
            elif f.name != "comm":
                assert frame[f.name].dtype == f.type.to_pandas_dtype(), f.name


def test_a_clean_end_merges_the_segments(tmp_path: Path) -> None:
    write(tmp_path / "run")
    assert files(tmp_path / "run") == ["000000-000002.parquet"]


def test_the_encodings_are_the_agreed_ones(tmp_path: Path) -> None:
    write(tmp_path / "run")
    metadata = pq.ParquetFile(tmp_path / "run/events/000000-000002.parquet").metadata
    column = {
        c.path_in_schema: c
        for c in (metadata.row_group(0).column(i) for i in range(metadata.num_columns))
    }
    assert {c.compression for c in column.values()} == {"ZSTD"}
    for name in ("start_ns", "end_ns", "seq", "size", "portid"):
        assert "DELTA_BINARY_PACKED" in column[name].encodings, name
    assert "RLE_DICTIONARY" in column["point"].encodings
    assert "RLE_DICTIONARY" in column["tid"].encodings


def test_an_empty_recording_has_all_columns(tmp_path: Path) -> None:
    write(tmp_path / "run", segments=())
    opened = open_recording(tmp_path / "run")
    assert opened.damage == []
    for kind in recording.KINDS:
        frame = getattr(opened, kind)
        assert len(frame) == 0
        assert list(frame.columns) == SCHEMAS[kind].names


def test_many_rows_are_flushed_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "FLUSH_ROWS", 100)
    monkeypatch.setattr(recording, "ROW_GROUP_ROWS", 101)
    writer = RecordingWriter(tmp_path / "run", META)
    for number in range(23):
        writer.append(events=events(53, first=53 * number))
    assert len(files(tmp_path / "run")) == 11
    writer.close({})
    opened = open_recording(tmp_path / "run")
    assert opened.events["start_ns"].tolist() == [n * 1000 for n in range(23 * 53)]
    merged = pq.ParquetFile(tmp_path / "run/events/000000-000011.parquet").metadata
    sizes = [merged.row_group(i).num_rows for i in range(merged.num_row_groups)]
    assert max(sizes) <= 101 + 106  # the merge never holds more


def test_the_send_log_becomes_the_sends_table(tmp_path: Path) -> None:
    dtype = np.dtype(
        [(f.name, "<u8" if f.type == pa.int64() else f.type.to_pandas_dtype())
         for f in SCHEMAS["sends"]] + [("pad", "u1")]
    )  # fmt: skip
    entries = np.zeros(23, dtype)
    entries["begin_ns"] = 10**15 + np.arange(23)
    writer = RecordingWriter(tmp_path / "run", META)
    writer.append(sends=recording.sends_table(entries))
    writer.close({})
    assert open_recording(tmp_path / "run").sends["begin_ns"].tolist() == [
        10**15 + n for n in range(23)
    ]


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", META)
    with pytest.raises(ValueError, match="unknown: seq"):
        writer.append(events=events(1).drop_columns(["seq"]))


# What a kill, a cut and a full disk leave


def test_without_a_close_it_opens_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    opened = open_recording(tmp_path / "run")
    assert len(opened.events) == 131
    assert opened.damage == ["the recording was not closed: rows after the last segment are lost"]


def test_a_kill_costs_the_open_segment_only(tmp_path: Path) -> None:
    script = """if True:
        import os, signal, sys
        from tests.unit.test_recording import META, events
        from tracer.recording import RecordingWriter
        writer = RecordingWriter(sys.argv[1], META)
        writer.append(events=events(101))
        writer.flush()
        writer.append(events=events(23, first=101))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "run"], cwd=root, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    opened = open_recording(tmp_path / "run")
    assert len(opened.events) == 101
    assert opened.meta["clean"] is False
    assert "not closed" in opened.damage[0]


def test_an_open_segment_is_named(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    (tmp_path / "run/events/000003.parquet.part").write_bytes(b"PAR1")
    assert (
        "events/000003.parquet.part: open segment lost" in open_recording(tmp_path / "run").damage
    )


def test_a_truncated_segment_in_the_middle_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    segment = tmp_path / "run/events/000001.parquet"
    segment.write_bytes(segment.read_bytes()[:-100])
    opened = open_recording(tmp_path / "run")
    assert opened.events["start_ns"].tolist() == [n * 1000 for n in [*range(23), *range(124, 131)]]
    assert any(
        line.startswith("events/000001.parquet: segment lost, it cannot be read")
        for line in opened.damage
    )


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "run")
    segment = tmp_path / "run/events/000000-000002.parquet"
    content = bytearray(segment.read_bytes())
    content[200] ^= 0xFF
    segment.write_bytes(content)
    opened = open_recording(tmp_path / "run")
    assert len(opened.events) == 0
    assert "events: 0 rows found, 131 were written" in opened.damage


def test_a_missing_segment_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    (tmp_path / "run/events/000001.parquet").unlink()
    opened = open_recording(tmp_path / "run")
    assert len(opened.events) == 30
    assert "events: segments 1 to 1 are missing" in opened.damage


def test_a_removed_file_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "run")
    (tmp_path / "run/events/000000-000002.parquet").unlink()
    assert open_recording(tmp_path / "run").damage == ["events: 0 rows found, 131 were written"]


def test_a_stop_between_merge_and_removal_counts_nothing_twice(tmp_path: Path) -> None:
    write(tmp_path / "one", close=False)
    write(tmp_path / "two")
    (tmp_path / "two/events/000000-000002.parquet").rename(
        tmp_path / "one/events/000000-000002.parquet"
    )
    opened = open_recording(tmp_path / "one")
    assert opened.events["start_ns"].tolist() == [n * 1000 for n in range(131)]
    assert len(opened.damage) == 1


def test_a_merged_file_that_cannot_be_read_leaves_its_segments(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    (tmp_path / "run/events/000000-000002.parquet").write_bytes(b"PAR1")
    opened = open_recording(tmp_path / "run")
    assert opened.events["start_ns"].tolist() == [n * 1000 for n in range(131)]
    assert any(line.startswith("events/000000-000002.parquet: seg") for line in opened.damage)


FULL_DISK = """if True:
    import resource, sys
    from tests.unit.test_recording import META, events
    from tracer.errors import TracerError
    from tracer.recording import RecordingWriter
    writer = RecordingWriter(sys.argv[1], META)
    try:
        for number in range(1000):
            writer.append(events=events(5003, first=5003 * number))
            if number == 2 and sys.argv[2] == "limit":
                resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
            writer.flush()
    except TracerError as error:
        print(error)
        sys.exit(error.exit_status)
"""


def fill(run: Path, how: str) -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, run, how],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write the recording" in done.stdout
    assert "(5003 rows not yet written are lost)" in done.stdout
    return done.stdout


def test_a_file_that_may_not_grow_keeps_what_was_written(tmp_path: Path) -> None:
    told = fill(tmp_path / "run", "limit")
    assert "File too large" in told
    assert "10006 events" in told
    opened = open_recording(tmp_path / "run")
    assert opened.events["start_ns"].tolist() == [n * 1000 for n in range(10006)]
    assert files(tmp_path / "run") == ["000000.parquet", "000001.parquet"]


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here; the test above takes the same path")
    try:
        told = fill(tmp_path / "run", "disk")
        assert "No space left on device" in told
        opened = open_recording(tmp_path / "run")
        assert f"{len(opened.events)} events" in told
        assert len(opened.events) >= 5003
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# Who may write where


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(TracerError, match="the directory is not empty"):
        RecordingWriter(tmp_path, META)


def test_two_recorders_cannot_share_a_directory(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "run", META)
    with pytest.raises(TracerError, match="another recorder writes there"):
        RecordingWriter(tmp_path / "run", META)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(TracerError, match="it is not a directory"):
        RecordingWriter(tmp_path / "run", META)


def test_an_empty_directory_is_welcome(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    RecordingWriter(tmp_path / "run", META).close({})
    assert open_recording(tmp_path / "run").damage == []


# What is no recording, or not of this version


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


def test_a_newer_schema(tmp_path: Path) -> None:
    write(tmp_path / "run")
    meta = json.loads((tmp_path / "run/meta.json").read_text())
    (tmp_path / "run/meta.json").write_text(json.dumps(meta | {"schema": 2}))
    with pytest.raises(TracerError, match="its schema is 2, this tracer reads up to 1"):
        open_recording(tmp_path / "run")


def test_a_missing_column(tmp_path: Path) -> None:
    write(tmp_path / "run")
    rewrite(tmp_path / "run/events/000000-000002.parquet", lambda t: t.drop_columns(["portid"]))
    with pytest.raises(TracerError, match="column portid is missing"):
        open_recording(tmp_path / "run")


def test_a_column_of_the_wrong_type(tmp_path: Path) -> None:
    write(tmp_path / "run")
    place = SCHEMAS["events"].names.index("start_ns")
    rewrite(
        tmp_path / "run/events/000000-000002.parquet",
        lambda t: t.set_column(place, "start_ns", t["start_ns"].cast(pa.float64())),
    )
    with pytest.raises(TracerError, match="column start_ns is double, it should be int64"):
        open_recording(tmp_path / "run")


def test_a_point_stored_as_plain_strings_is_as_good(tmp_path: Path) -> None:
    write(tmp_path / "run")
    place = SCHEMAS["events"].names.index("point")
    rewrite(
        tmp_path / "run/events/000000-000002.parquet",
        lambda t: t.set_column(place, "point", t["point"].cast(pa.string())),
    )
    assert set(open_recording(tmp_path / "run").events["point"]) == {"netlink_unicast"}


def test_a_point_that_a_newer_tracer_recorded(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", META)
    writer.append(events=events(23, points=("netlink_unicast", "netlink_newer")))
    writer.close({})
    with pytest.raises(TracerError, match=r"name the point netlink_newer, .*; upgrade tracer"):
        open_recording(tmp_path / "run")


def test_a_name_in_the_footer_that_is_no_text_any_more(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    segment = tmp_path / "run/events/000001.parquet"
    content = segment.read_bytes()
    assert content.count(b"portid") > 1
    segment.write_bytes(content.replace(b"portid", b"porti\xed"))
    opened = open_recording(tmp_path / "run")
    assert len(opened.events) == 30
    assert any(line.startswith("events/000001.parquet: segment lost") for line in opened.damage)


def test_a_recording_that_must_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "run")

    def refuse(*_args: object, **_kwargs: object) -> bool:
        raise PermissionError(13, "Permission denied")

    # First its own mode, then that of a directory above it.
    for step in ("read_text", "is_dir"):
        monkeypatch.setattr(Path, step, refuse)
        with pytest.raises(TracerError, match=r"you may not read it; make it readable to you$"):
            open_recording(tmp_path / "run")


def test_a_name_too_long_for_a_directory(tmp_path: Path) -> None:
    with pytest.raises(
        TracerError, match=r"cannot open the recording .*: File name too long; give"
    ):
        open_recording(tmp_path / ("n" * 300))


def test_a_discarded_recording_gives_its_directory_back(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "run", META).discard()
    assert list((tmp_path / "run").iterdir()) == []
    write(tmp_path / "run")


def test_what_was_recorded_is_not_discarded(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", META)
    writer.append(events=events(23))
    writer.flush()
    writer.discard()
    assert len(open_recording(tmp_path / "run").events) == 23


def test_every_file_and_its_name_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that loses power keeps the segments that were written before."""
    synced: list[str] = []
    sync = os.fsync

    def note(number: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{number}"))
        sync(number)

    monkeypatch.setattr(recording.os, "fsync", note)
    root = tmp_path.resolve() / "run"
    writer = RecordingWriter(root, META)
    writer.append(events=events(23))
    writer.flush()
    assert synced == [
        f"{root}/meta.json.part", f"{root}", f"{root}/events/000000.parquet.part",
        f"{root}/events",
    ]  # fmt: skip


def no_merge(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """From now on the file that a merge writes fails with ``code``."""
    write_parquet = recording._write_parquet

    def fail(target: Path, *rest: Any) -> None:
        if "-" in target.name:
            raise OSError(code, os.strerror(code))
        write_parquet(target, *rest)

    monkeypatch.setattr(recording, "_write_parquet", fail)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_segments_stay_where_there_is_no_room_to_merge_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    no_merge(monkeypatch, code)
    write(tmp_path / "run")
    assert files(tmp_path / "run") == [f"00000{n}.parquet" for n in range(3)]
    opened = open_recording(tmp_path / "run")
    assert (len(opened.events), opened.damage, opened.meta["clean"]) == (131, [], True)


def test_a_merge_that_fails_otherwise_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_merge(monkeypatch, errno.EIO)
    with pytest.raises(TracerError, match="Input/output error"):
        write(tmp_path / "run")
    assert len(open_recording(tmp_path / "run").events) == 131


def test_directories_above_are_made(tmp_path: Path) -> None:
    write(tmp_path / "some" / "where" / "run")
    assert len(open_recording(tmp_path / "some" / "where" / "run").events) == 131
