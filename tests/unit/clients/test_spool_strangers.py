# SPDX-License-Identifier: GPL-2.0-or-later
"""The spool's reader leaves what is not a traced program's log, and tells of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from spool_builder import (
    DEADLINE,
    NOBODY,
    add,
    as_nobody,
    entry,
    make_directory,
    make_huge,
    make_link,
    make_pipe,
    make_second_link,
    make_socket,
    own,
)

from tracer.clients import spool_reader as spools
from tracer.clients.sends import SendLog
from tracer.clients.spool_reader import SpoolReader


def read_in_time(reader: SpoolReader) -> np.ndarray:
    """What the reader reads; fails when it does not come back."""
    got: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: got.append(reader.read()), daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert got, f"the reader does not come back in {DEADLINE} s"
    return got[0]


def make_of_another_process(path: Path) -> None:
    path.write_bytes(entry(1, 1))


ODD = [
    (make_pipe, "not a regular file"),
    (make_socket, "No such device or address"),
    (make_link, "Too many levels of symbolic links"),
    (make_second_link, "linked from elsewhere"),
    (make_directory, "not a regular file"),
    (make_huge, "larger than a log"),
    (make_of_another_process, "entries of another thread"),
]


@pytest.mark.parametrize(("make", "why"), ODD)
def test_what_is_no_log_is_refused_and_told(
    spool: Path, make: Callable[[Path], None], why: str
) -> None:
    """Under a log's name, in the user's own directory; the logs beside it are read."""
    directory = own(spool)
    name = f"{os.getpid()}-1-0.sends"
    make(directory / name)
    reader = SpoolReader(spool)
    assert read_in_time(reader)["seq"].tolist() == [1]
    assert reader.odd == {(os.geteuid(), f"{directory.name}/{name}"): why}
    assert read_in_time(reader).size == 0
    assert len(reader.odd) == 1, "counted once"


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_directory, make_huge])
def test_a_name_that_is_no_log_s(spool: Path, make: Callable[[Path], None]) -> None:
    directory = own(spool)
    make(directory / "x.sends")
    reader = SpoolReader(spool)
    assert read_in_time(reader)["seq"].tolist() == [1]
    assert list(reader.odd.values()) == ["not named like a log"]


@pytest.mark.parametrize("make", [make_pipe, make_link, make_socket, make_huge])
def test_what_is_no_directory_of_a_user(spool: Path, make: Callable[[Path], None]) -> None:
    own(spool)
    (spool / "deep").mkdir()
    make(spool / "x.sends")
    reader = SpoolReader(spool)
    assert read_in_time(reader)["seq"].tolist() == [1]
    assert [name for _user, name in reader.odd] == ["x.sends"]


def test_another_user_s_log_is_read_only_if_that_user_is_traced(spool: Path) -> None:
    child = as_nobody(lambda: add(SendLog(), 5))
    refusing = SpoolReader(spool, lambda tgid, uid: False)
    assert refusing.read().size == 0
    name = f"{NOBODY}/{child}-{child}-0.sends"
    assert refusing.odd == {(NOBODY, name): "of no traced process of this user"}
    asked: list[tuple[int, int]] = []
    reader = SpoolReader(spool, lambda tgid, uid: not asked.append((tgid, uid)))  # type: ignore[func-returns-value]
    assert reader.read()["seq"].tolist() == [5]
    assert asked == [(child, NOBODY)]


def test_a_forgery_in_another_s_name(spool: Path) -> None:
    """Nobody writes what the caller's process is said to have logged: the owner tells."""
    tgid = os.getpid()

    def forge() -> None:
        directory = spool / str(os.getuid())
        directory.mkdir(0o700)
        (directory / f"{tgid}-{tgid}-0.sends").write_bytes(entry(tgid, tgid))

    as_nobody(forge)
    reader = SpoolReader(spool, lambda tgid, uid: (tgid, uid) == (os.getpid(), os.geteuid()))
    assert reader.read().size == 0
    assert [user for user, _name in reader.odd] == [NOBODY]


def test_a_file_given_into_another_s_directory(spool: Path) -> None:
    directory = own(spool)
    given = directory / f"{os.getpid()}-2-0.sends"
    given.write_bytes(entry(os.getpid(), 2))
    os.chown(given, NOBODY, -1)
    reader = SpoolReader(spool)
    assert reader.read()["seq"].tolist() == [1]
    assert list(reader.odd.values()) == ["of another user than its directory"]


def test_others_can_neither_list_nor_enter(spool: Path) -> None:
    directory = own(spool)

    def look() -> None:
        for path in (spool, directory):
            with pytest.raises(PermissionError):
                os.listdir(path)
        with pytest.raises(PermissionError):
            (directory / "1-1-0.sends").touch()
        with pytest.raises(PermissionError):
            directory.rename(spool / "away")

    as_nobody(look)


def test_entries_of_another_thread_are_left_out(spool: Path) -> None:
    directory = own(spool)
    tgid = os.getpid()
    mixed = entry(tgid, 9, 1) + entry(tgid, 8, 2) + entry(1, 9, 3) + entry(tgid, 9, 4)
    (directory / f"{tgid}-9-0.sends").write_bytes(mixed)
    reader = SpoolReader(spool)
    assert sorted(reader.read()["seq"].tolist()) == [1, 1, 4]
    assert list(reader.odd.values()) == ["entries of another thread"]


def test_names_are_told_in_printable_letters(spool: Path) -> None:
    directory = own(spool)
    name = b"\x1b[2J\xff" + b"n" * 200
    (directory / os.fsdecode(name)).touch()
    reader = SpoolReader(spool)
    reader.read()
    ((_user, told),) = reader.odd
    assert told.startswith(f"{directory.name}/\\x1b[2J\\udcffnn")
    assert len(told) == 80


def test_many_odd_files_cost_a_bounded_memory(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "ODD_LIMIT", 10)
    monkeypatch.setattr(spools, "FILES_LIMIT", 20)
    directory = own(spool)
    for number in range(30):
        (directory / f"x{number}").touch()
    reader = SpoolReader(spool)
    reader.read()
    assert len(reader.odd) == 10
    assert (os.geteuid(), directory.name) in reader.odd


def test_no_descriptor_is_left_open(spool: Path) -> None:
    directory = own(spool)
    make_pipe(directory / "1-1-0.sends")
    make_link(directory / "1-2-0.sends")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        reader = SpoolReader(spool)
        reader.read()
        reader.close()
    assert len(os.listdir("/proc/self/fd")) == before
