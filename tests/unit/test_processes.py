# SPDX-License-Identifier: GPL-2.0-or-later
"""What /proc says of processes: descendants, users, zombies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tracer.processes import descendants, parent_of, running, thread_names, users

#: What must happen in time; nothing waits so long when all is well.
DEADLINE = 300.0


def test_the_descendants_of_a_process() -> None:
    """Children and theirs, one of them with a name that looks like a line of /proc."""
    script = "sh -c 'exec sleep 1000' & (sleep 1001; :) & echo $!; exec cat"
    with subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as parent:
        assert parent.stdout is not None
        subshell = int(parent.stdout.readline())
        deadline = time.monotonic() + DEADLINE
        while len(found := descendants(parent.pid)) < 3:
            assert time.monotonic() < deadline
        assert subshell in found
        assert parent.pid not in found
        assert descendants(subshell) < found
        assert found < descendants(os.getpid())
        os.killpg(parent.pid, signal.SIGKILL)
    assert not descendants(parent.pid)


def test_a_name_with_parentheses_hides_no_child(tmp_path: Path) -> None:
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "1000"]) as child:
        assert child.pid in descendants(os.getpid())
        child.kill()


def test_the_users_of_a_process() -> None:
    """Real, effective, saved and of its files: a program between two users has both."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresuid(1001, 1002, 1003)
        os.write(write, b"set")
        os.close(write)
        signal.pause()
    os.read(read, 3)
    assert users(child) == {1001, 1002, 1003}
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert users(child) == {1001, 1002, 1003}, "a zombie still tells"
    os.waitpid(child, 0)
    assert users(child) == set()
    os.close(read)
    os.close(write)


def test_a_zombie_is_no_descendant() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not running(child)
    assert child not in descendants(os.getpid())
    os.waitpid(child, 0)
    assert not running(child)
    assert running(os.getpid())


def test_who_looks_is_left_out_with_its_children() -> None:
    """A shell that records itself does not mean the recorder."""
    program = (
        "import os, subprocess; from tracer.processes import descendants\n"
        "with subprocess.Popen(['cat'], stdin=subprocess.PIPE) as child:\n"
        "    found = descendants(os.getppid())\n"
        "    print(os.getpid() in found, child.pid in found, *found)\n"
    )
    with subprocess.Popen(["sleep", "1000"]) as sibling:
        said = subprocess.check_output([sys.executable, "-c", program], text=True).split()
        sibling.kill()
    assert said[:2] == ["False", "False"]
    assert str(sibling.pid) in said[2:]


def test_the_names_of_threads() -> None:
    """Each thread has its own; that of this process was set by the kernel at exec."""
    named, over = threading.Event(), threading.Event()

    def work() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("a) worker")
        named.set()
        over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        named.wait()
        found = thread_names(os.getpid())
    finally:
        over.set()
        thread.join()
    assert found[thread.native_id or 0] == "a) worker"
    assert found[os.getpid()] == Path("/proc/self/comm").read_text().removesuffix("\n")
    assert parent_of(os.getpid()) == os.getppid()


def test_a_process_that_is_gone_has_no_names() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    assert thread_names(child.pid) == {}
    assert parent_of(child.pid) == 0
