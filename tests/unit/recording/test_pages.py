# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages as their own headers tell them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_builder import calls, write

from tracer.recording.pages import decompressed_bytes


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_the_pages_are_those_that_the_footer_counts(
    tmp_path: Path, version: str, compression: str
) -> None:
    """The footer's size is that of the pages with their headers, of some 20 to 100 bytes each."""
    file = tmp_path / "a.parquet"
    table = calls(50_021)
    pq.write_table(
        table, file, compression=compression, data_page_version=version, data_page_size=1 << 13,
        write_page_checksum=True, row_group_size=20_011,
    )  # fmt: skip
    footer = pq.read_metadata(file)
    with file.open("rb") as opened:
        for group in map(footer.row_group, range(footer.num_row_groups)):
            for number in range(group.num_columns):
                column = group.column(number)
                pages = decompressed_bytes(opened, column)
                assert 0.7 * column.total_uncompressed_size < pages + 200
                assert pages < column.total_uncompressed_size


def test_one_page_to_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    table = pa.table({"a": np.zeros(1009, np.int64)})
    field = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    pq.write_table(table.cast(field), file, compression="zstd", use_dictionary=False)
    with file.open("rb") as opened:
        column = pq.read_metadata(file).row_group(0).column(0)
        assert decompressed_bytes(opened, column) == 8 * 1009


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no page at byte 4"),
        (b"\0" * 100, "no page at byte 4"),
        (b"\xff" * 9000, "no page at byte 4"),
        (b"\x1c" * 9000, "no page at byte 4"),  # structs in structs
        (b"\x15\x00\x15\x01\x15\x02\x00", "the page at byte 4 has a negative size"),
        (b"\x15\x00\x15\x02\x15\x01\x00", "the page at byte 4 has a negative size"),
        (b"\x15\x00\x19\x02\x15\x01\x00", "no page at byte 4"),
    ],
)
def test_what_is_no_page_is_an_error_in_bounded_time(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"PAR1" + content)
    column = SimpleNamespace(
        data_page_offset=4, dictionary_page_offset=None, total_compressed_size=10**12
    )
    with file.open("rb") as opened, pytest.raises(ValueError, match=said):
        decompressed_bytes(opened, column)


def test_every_file_of_a_recording_can_be_walked(tmp_path: Path) -> None:
    write(tmp_path / "run")
    (file,) = (tmp_path / "run" / "send_calls").glob("*.parquet")
    group = pq.read_metadata(file).row_group(0)
    with file.open("rb") as opened:
        sizes = [decompressed_bytes(opened, group.column(n)) for n in range(group.num_columns)]
    assert min(sizes) > 0
