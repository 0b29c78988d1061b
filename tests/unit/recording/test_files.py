# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in a recording in place of a file: never waited for, never followed."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recording_builder import write

from tracer.errors import TracerError
from tracer.recording import open_recording

DEADLINE = 60.0


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_PATH)  # such a path has at most 108 bytes
        try:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        path.open("rb").close()
    except PermissionError:
        pytest.skip("devices cannot be made here")


def directory(path: Path) -> None:
    path.mkdir()


IRREGULAR = [fifo, unix_socket, loop, link_to_endless, link_to_nowhere, device, directory]


def in_time(step: Callable[[], Any]) -> Any:
    """What ``step`` returns or raises; fails when it hangs."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(step())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert outcome, "it hangs"
    return outcome[0]


@pytest.mark.parametrize("make", IRREGULAR)
def test_in_place_of_meta_json(tmp_path: Path, make: Callable[[Path], None]) -> None:
    write(tmp_path / "run")
    (tmp_path / "run" / "meta.json").unlink()
    make(tmp_path / "run" / "meta.json")
    error = in_time(lambda: open_recording(tmp_path / "run"))
    assert isinstance(error, TracerError)
    link = "link" in make.__name__ or make is loop
    told = "meta.json is a symbolic link" if link else "meta.json is no regular file"
    assert told in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("make", IRREGULAR)
def test_in_place_of_a_segment(tmp_path: Path, make: Callable[[Path], None]) -> None:
    write(tmp_path / "run", close=False)
    (tmp_path / "run" / "send_calls" / "000001.parquet").unlink()
    make(tmp_path / "run" / "send_calls" / "000001.parquet")
    opened = in_time(lambda: open_recording(tmp_path / "run"))
    assert len(opened.send_calls) == 30
    (told,) = [line for line in opened.damage if line.startswith("send_calls/000001.parquet")]
    assert "segment lost, it cannot be read (000001.parquet is " in told


@pytest.mark.parametrize("make", [fifo, loop, link_to_endless, link_to_nowhere])
def test_in_place_of_a_directory_of_segments(tmp_path: Path, make: Callable[[Path], None]) -> None:
    write(tmp_path / "run")
    directory = tmp_path / "run" / "send_calls"
    directory.rename(tmp_path / "elsewhere")
    make(directory)
    opened = in_time(lambda: open_recording(tmp_path / "run"))
    assert opened.damage == ["send_calls: 0 rows found, 131 were written"]


def test_the_directories_may_be_links(tmp_path: Path) -> None:
    write(tmp_path / "made")
    (tmp_path / "made" / "send_calls").rename(tmp_path / "elsewhere")
    (tmp_path / "made" / "send_calls").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run").symlink_to(tmp_path / "made")
    opened = open_recording(tmp_path / "run")
    assert (len(opened.send_calls), opened.damage) == (131, [])
