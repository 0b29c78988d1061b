# SPDX-License-Identifier: GPL-2.0-or-later
"""The relay's list, shared by recorders; on a file in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer.attach import relay
from tracer.clients import spool
from tracer.errors import TracerError

OTHER_RECORDER = """if True:
    import sys
    from pathlib import Path
    from tracer.clients import spool
    spool._base = lambda: Path(sys.argv[1])
    spool.Spool().note_relayed(int(sys.argv[2]))
    print("noted", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(spool, "_base", lambda: tmp_path)
    monkeypatch.setattr(relay, "FILTER", tmp_path / "relay_tgid")
    relay.FILTER.write_text("\n")
    return tmp_path


@pytest.fixture
def target() -> Iterator[int]:
    """A process that is to be relayed."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process.pid
        process.kill()


def ids() -> set[int]:
    """What the last line written says: the parameter's file takes the place of the old one."""
    return relay._parsed(relay.FILTER.read_text().splitlines()[0])


def test_one_is_listed_and_dismissed(base: Path, target: int) -> None:
    del base
    relay.enlist(target)
    assert ids() == {target}
    relay.dismiss({target})
    assert ids() == set()


def test_the_ended_make_room(base: Path, target: int) -> None:
    del base
    ended = subprocess.Popen(["true"])
    ended.wait()
    relay.FILTER.write_text(f"{ended.pid},{os.getpid()}\n")
    relay.enlist(target)
    assert ids() == {target, os.getpid()}


def test_what_another_living_recorder_wants_stays(base: Path, target: int) -> None:
    """Two record the same process: the first to end does not end the other's."""
    relay.enlist(target)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_RECORDER, str(base), str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"noted\n"
        relay.dismiss({target})
        assert ids() == {target}
        other.kill()
        other.wait()
        relay.dismiss({target})
        assert ids() == set()


def test_without_the_module(base: Path, target: int) -> None:
    del base
    relay.FILTER.unlink()
    assert relay.listed() == set()
    with pytest.raises(TracerError, match=r"cannot tell msgchan's relay whom to report: .*No such"):
        relay.enlist(target)
