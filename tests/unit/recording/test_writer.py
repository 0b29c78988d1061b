# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory on disk: written, cut short, merged, and whose it is."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from recording_builder import META, calls, files, write

from tracer.errors import TracerError
from tracer.recording import RecordingWriter, open_recording
from tracer.recording import writer as writing

UNIT = Path(__file__).parents[1]


def test_a_clean_end_merges_the_segments(tmp_path: Path) -> None:
    write(tmp_path / "run")
    assert files(tmp_path / "run") == ["000000-000002.parquet"]


def test_the_encodings_are_the_agreed_ones(tmp_path: Path) -> None:
    write(tmp_path / "run")
    metadata = pq.ParquetFile(tmp_path / "run/send_calls/000000-000002.parquet").metadata
    column = {
        c.path_in_schema: c
        for c in (metadata.row_group(0).column(i) for i in range(metadata.num_columns))
    }
    assert {c.compression for c in column.values()} == {"ZSTD"}
    for name in ("order", "enter_ns", "exit_ns", "seq", "size", "portid"):
        assert "DELTA_BINARY_PACKED" in column[name].encodings, name
    assert "RLE_DICTIONARY" in column["bits"].encodings
    assert "RLE_DICTIONARY" in column["tid"].encodings


def test_many_rows_are_flushed_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FLUSH_ROWS", 100)
    monkeypatch.setattr(writing, "ROW_GROUP_ROWS", 101)
    writer = RecordingWriter(tmp_path / "run", META)
    for number in range(23):
        writer.append(send_calls=calls(53, first=53 * number))
    assert len(files(tmp_path / "run")) == 11
    writer.close({})
    opened = open_recording(tmp_path / "run")
    assert opened.send_calls["enter_ns"].tolist() == [n * 1000 for n in range(23 * 53)]
    merged = pq.ParquetFile(tmp_path / "run/send_calls/000000-000011.parquet").metadata
    sizes = [merged.row_group(i).num_rows for i in range(merged.num_row_groups)]
    assert max(sizes) <= 101 + 106  # the merge never holds more


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", META)
    with pytest.raises(ValueError, match="unknown: seq"):
        writer.append(send_calls=calls(1).drop_columns(["seq"]))


def test_a_kill_costs_the_open_segment_only(tmp_path: Path) -> None:
    script = """if True:
        import os, signal, sys
        from recording_builder import META, calls
        from tracer.recording import RecordingWriter
        writer = RecordingWriter(sys.argv[1], META)
        writer.append(send_calls=calls(101))
        writer.flush()
        writer.append(send_calls=calls(23, first=101))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "run"], cwd=UNIT, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    opened = open_recording(tmp_path / "run")
    assert len(opened.send_calls) == 101
    assert opened.meta["clean"] is False
    assert "not closed" in opened.damage[0]


FULL_DISK = """if True:
    import resource, sys
    from recording_builder import META, calls
    from tracer.errors import TracerError
    from tracer.recording import RecordingWriter
    writer = RecordingWriter(sys.argv[1], META)
    try:
        for number in range(1000):
            writer.append(send_calls=calls(5003, first=5003 * number))
            if number == 2 and sys.argv[2] == "limit":
                resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
            writer.flush()
    except TracerError as error:
        print(error)
        sys.exit(error.exit_status)
"""


def fill(run: Path, how: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, run, how],
        cwd=UNIT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write the recording" in done.stdout
    assert "(5003 rows not yet written are lost)" in done.stdout
    return done.stdout


def test_a_file_that_may_not_grow_keeps_what_was_written(tmp_path: Path) -> None:
    told = fill(tmp_path / "run", "limit")
    assert "File too large" in told
    assert "; 10006 send_calls are kept" in told
    opened = open_recording(tmp_path / "run")
    assert opened.send_calls["enter_ns"].tolist() == [n * 1000 for n in range(10006)]
    assert files(tmp_path / "run") == ["000000.parquet", "000001.parquet"]


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here; the test above takes the same path")
    try:
        told = fill(tmp_path / "run", "disk")
        assert "No space left on device" in told
        opened = open_recording(tmp_path / "run")
        assert f"{len(opened.send_calls)} send_calls are kept" in told
        assert len(opened.send_calls) >= 5003
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


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


def test_a_discarded_recording_gives_its_directory_back(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "run", META).discard()
    assert list((tmp_path / "run").iterdir()) == []
    write(tmp_path / "run")


def test_what_was_recorded_is_not_discarded(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", META)
    writer.append(send_calls=calls(23))
    writer.flush()
    writer.discard()
    assert len(open_recording(tmp_path / "run").send_calls) == 23


def test_every_file_and_its_name_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that loses power keeps the segments that were written before."""
    synced: list[str] = []
    sync = os.fsync

    def note(number: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{number}"))
        sync(number)

    monkeypatch.setattr(writing.os, "fsync", note)
    root = tmp_path.resolve() / "run"
    writer = RecordingWriter(root, META)
    writer.append(send_calls=calls(23))
    writer.flush()
    assert synced == [
        f"{root}/meta.json.part", f"{root}", f"{root}/send_calls/000000.parquet.part",
        f"{root}/send_calls",
    ]  # fmt: skip


def no_merge(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """From now on the file that a merge writes fails with ``code``."""
    write_parquet = writing._write_parquet

    def fail(target: Path, *rest: Any) -> None:
        if "-" in target.name:
            raise OSError(code, os.strerror(code))
        write_parquet(target, *rest)

    monkeypatch.setattr(writing, "_write_parquet", fail)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_segments_stay_where_there_is_no_room_to_merge_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    no_merge(monkeypatch, code)
    write(tmp_path / "run")
    assert files(tmp_path / "run") == [f"00000{n}.parquet" for n in range(3)]
    opened = open_recording(tmp_path / "run")
    assert (len(opened.send_calls), opened.damage, opened.meta["clean"]) == (131, [], True)


def test_a_merge_that_fails_otherwise_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_merge(monkeypatch, errno.EIO)
    with pytest.raises(TracerError, match="Input/output error"):
        write(tmp_path / "run")
    assert len(open_recording(tmp_path / "run").send_calls) == 131


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_it_is_the_owners_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """The command line may hold secrets."""
    before = os.umask(umask)
    try:
        write(tmp_path / "closed")
        write(tmp_path / "open", close=False)
    finally:
        os.umask(before)
    for root in (tmp_path / "closed", tmp_path / "open"):
        found = {path: path.stat().st_mode & 0o7777 for path in (root, *root.rglob("*"))}
        assert len(found) > 5
        assert {path: mode for path, mode in found.items() if path.is_dir() and mode != 0o700} == {}
        assert {path: mode for path, mode in found.items() if path.is_file() and mode != 0o600} == (
            {}
        )


def test_a_directory_made_beforehand_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    write(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "run" / "send_calls").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("gone", ["", "send_calls"])
@pytest.mark.parametrize("how", ["flush", "close"])
def test_what_was_removed_while_it_recorded_is_not_called_kept(
    tmp_path: Path, gone: str, how: str
) -> None:
    run = tmp_path / "run"
    writer = RecordingWriter(run, META)
    writer.append(send_calls=calls(101))
    writer.flush()
    writer.append(send_calls=calls(23, first=101))
    shutil.rmtree(run / gone)
    with pytest.raises(TracerError) as failure:
        writer.flush() if how == "flush" else writer.close({})
    assert "was removed or renamed while it recorded" in str(failure.value)
    assert "(101 rows written, 23 to be written)" in str(failure.value)
    assert "kept" not in str(failure.value)


def test_directories_above_are_made(tmp_path: Path) -> None:
    write(tmp_path / "some" / "where" / "run")
    assert len(open_recording(tmp_path / "some" / "where" / "run").send_calls) == 131
