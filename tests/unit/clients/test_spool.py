# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose a spool is: the living keep theirs, what the dead left is found."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tracer.clients import spool
from tracer.clients.spool import Spool

NOBODY = 65534
KEEPER = """if True:
    import sys
    from pathlib import Path
    from tracer.clients import spool
    spool._base = lambda: Path(sys.argv[1])
    mine = spool.Spool()
    mine.note_relayed(4242)
    print(mine.path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(spool, "_base", lambda: tmp_path)
    return tmp_path


def keeper(base: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that has a spool, and where."""
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(base)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip()).parent


def test_others_may_enter_and_create_but_not_list(base: Path) -> None:
    mine = Spool()
    outer = mine.path.parent
    assert outer.parent == base
    assert stat.S_IMODE(outer.stat().st_mode) == 0o711
    assert stat.S_IMODE(mine.path.stat().st_mode) == 0o1733
    assert len(mine.path.name) == 32
    mine.close()
    assert list(base.iterdir()) == []


def test_a_living_recorder_s_spool_is_in_use(base: Path) -> None:
    mine = Spool()
    process, theirs = keeper(base)
    assert set(spool.in_use()) == {mine.path.parent, theirs}
    assert list(spool.abandoned()) == []
    assert spool.recorder(theirs) == process.pid
    assert spool.recorder(mine.path.parent) == os.getpid()
    mine.close()
    process.kill()
    process.communicate()


def test_a_killed_recorder_s_spool_is_abandoned(base: Path) -> None:
    """At once, while a living one beside it stays; nobody waits for an age."""
    process, theirs = keeper(base)
    living, beside = keeper(base)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(spool.abandoned()) == [theirs]
    assert spool.in_use() == [beside]
    assert spool.relayed(theirs) == {4242}
    for path in spool.abandoned():
        spool.remove(path)
    assert list(base.iterdir()) == [beside]
    living.kill()
    living.communicate()


def test_a_spool_that_is_being_cleared_is_not_in_two_hands(base: Path) -> None:
    process, theirs = keeper(base)
    process.kill()
    process.communicate()
    first = spool.abandoned()
    assert next(first) == theirs
    assert list(spool.abandoned()) == [], "locked by the first"
    first.close()
    assert list(spool.abandoned()) == [theirs]


def test_what_strangers_put_there_is_left_alone(base: Path) -> None:
    fake = base / f"{spool.PREFIX}1-stranger"
    fake.mkdir()
    os.chown(fake, NOBODY, NOBODY)
    (base / f"{spool.PREFIX}2-link").symlink_to(fake)
    (base / f"{spool.PREFIX}3-file").touch()
    os.mkfifo(base / f"{spool.PREFIX}4-pipe")
    (base / f"{spool.PREFIX}none").mkdir()
    assert list(spool.abandoned()) == []


def test_notes_that_make_no_sense(base: Path) -> None:
    assert spool.relayed(base) == set()
    (base / "relayed").write_text("12\n-3\nx\n14\n1")
    assert spool.relayed(base) == {12, 14, 1}
