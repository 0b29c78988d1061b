# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording cannot make whoever opens it run out of memory, time or stack."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_builder import META, tasks, write

from tracer.errors import TracerError
from tracer.recording import RecordingWriter, open_recording
from tracer.recording.bounds import META_BYTES

#: What opening a recording may take in memory, in MiB: the imports take 150 to 200 of it.
PEAK = 800
#: Enough for anything that is within the bounds; spares the machine if something is not.
ADDRESS_SPACE = 6 << 30
OPEN = """if True:
    import resource, sys
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
    from tracer.errors import TracerError
    from tracer.recording import open_recording
    try:
        opened = open_recording(sys.argv[1])
        print(len(opened.send_calls) + len(opened.tasks), "rows;", "; ".join(opened.damage))
    except TracerError as error:
        print("error:", error)
    # Not ru_maxrss: that begins with what the parent had.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) // 1024)
"""


def opened_within_bounds(run: Path) -> str:
    """What opening it says; fails when that takes too much memory or time."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(run), str(ADDRESS_SPACE)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told, peak = done.stdout.strip().splitlines()
    assert int(peak) < PEAK, told
    return told


def nested(levels: int) -> str:
    return '{"schema": 3, "clean": true, "x": ' + "[" * levels + "]" * levels + "}"


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (nested(21), "it should be an object nested at most 20 deep"),
        (nested(100_000), "meta.json cannot be read (maximum recursion depth exceeded"),
        ('{"schema": 3, "clean": true, "cpus": NaN}', "cannot be read (NaN is no JSON)"),
        ('{"schema": 3, "clean": true, "cpus": -Infinity}', "-Infinity is no JSON"),
        ('{"schema": 3, "clean": true, "cpus": 1e999}', "cpus should be a whole number"),
        ('{"schema": 3, "clean": true, "cpus": ' + "9" * 5000 + "}", "meta.json cannot be read"),
        ('{"schema": 3, "clean": true, "cpus": ' + "9" * 50 + "}", "cpus should be a whole"),
        ('{"schema": ' + "9" * 50 + ', "clean": true}', "upgrade tracer"),
        ('{"schema": true, "clean": true}', "is not that of a recording"),
        ('{"schema": 3, "clean": true, "plan": {"point": 1}}', "plan should be a list"),
        ('{"schema": 3, "clean": true, "plan": [{"point": "x"}]}', "plan.0.site should be there"),
        ('{"schema": 3, "clean": true, "accounts": [[]]}', "accounts should be an object"),
        ("\\ud800", "meta.json cannot be read"),
        ("[" * 23, "meta.json cannot be read"),
    ],
)
def test_json_that_no_recorder_wrote_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(TracerError) as failure:
        open_recording(tmp_path)
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 500


def test_a_meta_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    sparse(tmp_path / "meta.json", 1 << 40)
    assert "meta.json cannot be read (it is larger than 16 MiB)" in opened_within_bounds(tmp_path)


def test_the_largest_meta_that_is_read(tmp_path: Path) -> None:
    """Objects in a list take the most memory for their text."""
    frame = '{"schema": 3, "clean": false, "x": [%s[]]}'
    text = frame % ("[]," * ((META_BYTES - len(frame)) // 3))
    (tmp_path / "meta.json").write_text(text)
    assert "not closed" in opened_within_bounds(tmp_path)


Bomb = Callable[[Path], None]


def rows(path: Path, groups: int = 23) -> None:
    """Many rows in a few bytes: all are alike."""
    table = tasks(1).take(pa.array([0] * 1_000_003, pa.int32()))
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(groups):
            writer.write_table(table, row_group_size=len(table))


def many_files(path: Path) -> None:
    """Each for itself within the bounds."""
    rows(path, 1)
    for number in range(1, 23):
        os.link(path, path.with_name(f"{number:06d}.parquet"))


def repeated_name(path: Path) -> None:
    """A long name, once in the file, in each of many rows."""
    table = tasks(1_000_003)
    names = pa.DictionaryArray.from_arrays(
        pa.array([0] * len(table), pa.int32()), pa.array(["n" * 60_000])
    )
    place = table.column_names.index("comm")
    pq.write_table(table.set_column(place, "comm", names), path, compression="zstd")


def long_name(path: Path) -> None:
    table = tasks(1).set_column(6, "comm", pa.array(["n" * 100_000_000]))
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


def lying_footer(path: Path) -> None:
    """It says that the pages of ``long_name`` take a thousand bytes."""
    long_name(path)
    content = path.read_bytes()
    start = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
    group = pq.read_metadata(path).row_group(0)
    for size in {group.column(6).total_uncompressed_size, group.total_byte_size}:
        said = varint(2 * size)
        padded = varint(2 * 1000)
        padded = bytes([*padded[:-1], padded[-1] | 128, *[128] * (len(said) - 3), 0])
        content = content[:start] + content[start:].replace(said, padded)
    path.write_bytes(content)
    assert pq.read_metadata(path).row_group(0).column(6).total_uncompressed_size == 1000


def varint(number: int) -> bytes:
    """An unsigned integer as thrift's compact protocol has it."""
    return bytes([number & 127 | 128, *varint(number >> 7)] if number > 127 else [number])


def row_groups(path: Path) -> None:
    """Hundreds of thousands of row groups, each of no row."""
    table = tasks(1)
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(20_000):
            writer.write_table(table)


def nested_columns(path: Path) -> None:
    table = tasks(23)
    deep = pa.array([[[[[[n]]]]] for n in range(23)])
    pq.write_table(table.set_column(2, "tid", deep), path)


def footer(path: Path) -> None:
    """A footer of 3 GiB, if its length is believed."""
    write_tasks(path)
    content = path.read_bytes()
    path.write_bytes(content[:-8] + struct.pack("<I", 3 << 30) + b"PAR1")


def missing_values(path: Path) -> None:
    table = tasks(23)
    pq.write_table(table.set_column(1, "start_ns", pa.nulls(23, pa.int64())), path)


def write_tasks(path: Path) -> None:
    pq.write_table(tasks(23), path)


@pytest.mark.parametrize(
    ("bomb", "said"),
    [
        (rows, "23000069 rows in "),
        (repeated_name, "a comm is longer than 64 bytes"),
        (long_name, "bytes for 1 rows are too many"),
        (lying_footer, "bytes for 1 rows are too many"),
        (row_groups, "segment lost, it cannot be read"),
        (nested_columns, "error: cannot use the recording's tasks/000000.parquet: column tid is"),
        (footer, "its footer is larger than 16 MiB"),
        (missing_values, "column start_ns has rows without a value"),
    ],
)
def test_a_parquet_bomb_is_a_line(tmp_path: Path, bomb: Bomb, said: str) -> None:
    run = tmp_path / "run"
    write(run, close=False)
    bomb(run / "tasks" / "000000.parquet")
    told = opened_within_bounds(run)
    assert said in told
    assert told.startswith(("131 rows", "error: "))


def test_many_files_share_one_bound(tmp_path: Path) -> None:
    write(tmp_path / "run", close=False)
    many_files(tmp_path / "run" / "tasks" / "000000.parquet")
    told = opened_within_bounds(tmp_path / "run")
    read = int(told.split()[0])
    assert 1_000_003 <= read < 4_000_000
    assert told.count("are too many") >= 20


def test_what_a_recorder_writes_is_far_within_the_bounds(tmp_path: Path) -> None:
    """Even rows that are all alike, as many as a segment has at most."""
    writer = RecordingWriter(tmp_path / "run", META)
    for _ in range(2):
        writer.append(tasks=tasks(1).take(pa.array([0] * 1_000_000)))
    writer.close({})
    opened = open_recording(tmp_path / "run")
    assert (len(opened.tasks), opened.damage) == (2_000_000, [])
    assert opened.tasks["comm"].unique().tolist() == ["task0"]
