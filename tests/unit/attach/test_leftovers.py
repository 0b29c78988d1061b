# SPDX-License-Identifier: GPL-2.0-or-later
"""What belongs to the dead, told from what belongs to the living; on files made for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tracer.attach import leftovers, relay
from tracer.attach.leftovers import Leftovers
from tracer.clients import spool
from tracer.clients.spool import Spool


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(spool, "_base", lambda: tmp_path)
    monkeypatch.setattr(relay, "FILTER", tmp_path / "relay_tgid")
    return tmp_path


def ended() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def abandoned_spool(relayed: int) -> Path:
    """A spool whose recorder does not hold the lock any more."""
    left = Spool()
    left.note_relayed(relayed)
    os.close(left._lock)
    return left.path.parent


def test_nothing_is_left(base: Path) -> None:
    del base
    assert leftovers.find(None) == Leftovers()
    assert str(leftovers.find(None)) == "none"
    leftovers.sweep(None)


def test_events_of_the_dead_on_our_functions(base: Path) -> None:
    dead = ended()
    (base / "kprobe_events").write_text(
        f"r64:kprobes/r_netlink_sendmsg_bcc_{dead} netlink_sendmsg\n"
        f"p:kprobes/p_netlink_unicast_bcc_{dead} netlink_unicast\n"
        f"r64:kprobes/r_netlink_sendmsg_bcc_{os.getpid()} netlink_sendmsg\n"
        f"r64:kprobes/r_vfs_read_bcc_{dead} vfs_read\n"
        f"p:mine/r_netlink_sendmsg_bcc_{dead} netlink_sendmsg\n"
        f"p:kprobes/myprobe_{dead} netlink_sendmsg\n"
    )
    found = leftovers.find(base)
    assert found.events == [
        f"kprobes/r_netlink_sendmsg_bcc_{dead}",
        f"kprobes/p_netlink_unicast_bcc_{dead}",
    ]
    assert str(found) == "kprobe events: 2"
    leftovers.sweep(base)
    assert (base / "kprobe_events").read_text().splitlines()[6:] == [
        f"-:kprobes/r_netlink_sendmsg_bcc_{dead}",
        f"-:kprobes/p_netlink_unicast_bcc_{dead}",
    ]


def test_processes_that_nobody_alive_wants_relayed(base: Path) -> None:
    """The ended, and those whose recorder is dead; not what a living one or an admin listed."""
    others = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    orphan, shared, by_hand = (process.pid for process in others)
    dead = ended()
    living = Spool()
    living.note_relayed(shared)
    abandoned_spool(orphan)
    abandoned_spool(shared)
    relay.FILTER.write_text(f"{dead},{orphan},{shared},{by_hand}\n")
    assert leftovers.find(None).relayed == {dead, orphan}
    leftovers.sweep(None)
    assert relay.FILTER.read_text().splitlines()[0] == ",".join(map(str, sorted({shared, by_hand})))
    assert [path for path in base.iterdir() if path.is_dir()] == [living.path.parent]
    for process in others:
        process.kill()
        process.wait()
    living.close()


def test_a_spool_is_told_and_removed(base: Path) -> None:
    left = abandoned_spool(ended())
    found = leftovers.find(None)
    assert found.spools == [left]
    assert str(found) == "spools: 1"
    leftovers.sweep(None)
    assert not left.exists()
    assert leftovers.find(None) == Leftovers()
    assert list(base.iterdir()) == []
