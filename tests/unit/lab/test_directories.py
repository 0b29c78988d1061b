# SPDX-License-Identifier: GPL-2.0-or-later
"""The directories of the lab's runs: which are made, kept and removed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tracer.lab import directories
from tracer.lab.directories import working_directory


@pytest.fixture
def keep_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "KEPT", 3)


def old_runs(lab: Path, count: int) -> list[Path]:
    """Directories of earlier runs with a file in each, oldest first."""
    made = [lab / f"2026010{day}-120000-abcd_{day}" for day in range(1, count + 1)]
    for directory in made:
        (directory / "left").mkdir(parents=True)
        (directory / "console.log").touch()
    return made


def test_every_run_has_a_directory_of_its_own(tmp_path: Path) -> None:
    with working_directory(tmp_path) as first, working_directory(tmp_path) as second:
        assert first != second
        assert first.parent == second.parent == tmp_path / "lab"
    assert first.is_dir()


@pytest.mark.usefixtures("keep_three")
def test_the_newest_stay(tmp_path: Path) -> None:
    earlier = old_runs(tmp_path / "lab", 5)
    with working_directory(tmp_path) as mine:
        assert sorted(mine.parent.iterdir()) == [*earlier[-2:], mine]


@pytest.mark.usefixtures("keep_three")
def test_what_the_lab_did_not_make_stays(tmp_path: Path) -> None:
    old_runs(tmp_path / "lab", 5)
    notes = tmp_path / "lab" / "20250101-notes"
    notes.mkdir()
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "lab" / "20250101-120000-link").symlink_to(precious)
    (tmp_path / "lab" / "20250101-120000-file").touch()
    with working_directory(tmp_path) as mine:
        there = set(mine.parent.iterdir())
    assert notes in there
    assert precious.is_dir()
    assert tmp_path / "lab" / "20250101-120000-file" in there


@pytest.mark.usefixtures("keep_three")
def test_a_run_whose_clock_was_behind_keeps_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = old_runs(tmp_path / "lab", 5)
    monkeypatch.setattr(directories.time, "strftime", lambda _format: "20251231-000000-")
    with working_directory(tmp_path) as mine:
        assert sorted(mine.parent.iterdir()) == [mine, *earlier[-3:]]


@pytest.mark.usefixtures("keep_three")
def test_a_run_that_is_over_makes_room_and_one_that_is_not_stays(tmp_path: Path) -> None:
    with ExitStack() as running:
        still = [running.enter_context(working_directory(tmp_path)) for _ in range(5)]
        with working_directory(tmp_path) as mine:
            assert set(mine.parent.iterdir()) == {*still, mine}
    with working_directory(tmp_path) as mine:
        # Those of one second are in no order: it may be the newest three and the own one.
        assert len(list(mine.parent.iterdir())) <= 4


# Says which directory it has, keeps it until its input ends, and then still finds its file.
RUN = """
import sys
from pathlib import Path
from tracer.lab import directories
directories.KEPT = 2
for _ in range(20):
    with directories.working_directory(Path(sys.argv[1])) as mine:
        mine.joinpath("state").touch()
with directories.working_directory(Path(sys.argv[1])) as mine:
    mine.joinpath("state").touch()
    print(mine, flush=True)
    sys.stdin.read()
    mine.joinpath("state").stat()
"""


def test_machines_that_start_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    with ExitStack() as held:
        runs = [
            held.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RUN, str(tmp_path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(6)
        ]
        said = [run.stdout.readline().strip() for run in runs if run.stdout is not None]
        there = {str(directory) for directory in (tmp_path / "lab").iterdir()}
        assert set(said) <= there
        # Of 126 that were made.
        assert len(there) < 20
        for run in runs:
            run.communicate()
    assert [run.returncode for run in runs] == [0] * 6


@pytest.mark.usefixtures("keep_three")
def test_a_killed_run_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as killed:
        assert killed.stdout is not None
        directory = Path(killed.stdout.readline().decode().strip())
        killed.kill()
    monkeypatch.setattr(directories.time, "strftime", lambda _format: "20991231-000000-")
    for _ in range(3):
        with working_directory(tmp_path):
            pass
    assert not directory.exists()
