# SPDX-License-Identifier: GPL-2.0-or-later
"""A file is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer.errors import TracerError
from tracer.output import write_whole


def test_a_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    write_whole(target, lambda part: part.write_text("new"))
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(TracerError, match=r"cannot write .*a: No space left on device"):
        write_whole(target, fail)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_the_system_refuses_is_told_though_nothing_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target, why in (("file/a", "Not a directory"), ("a" * 300, "File name too long")):
        with pytest.raises(TracerError, match=f"cannot write .*: {why}; choose a file"):
            write_whole(tmp_path / target, lambda part: part.write_text("x"))


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match=r"No such file or directory; choose a file"):
        write_whole(tmp_path / "no" / "a", lambda part: part.write_text("x"))
