# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket options, recorded on a real kernel, with every site for the copy."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import Recorder, attached

from tracer.attach.probes import Probes
from tracer.clients import wire
from tracer.clients.messages import Request
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.sockopt import SockoptClient
from tracer.clients.wire import Op
from tracer.recorder.record import record_command, record_process
from tracer.run import Run, load

COUNT = 23
KPROBES = Path("/sys/kernel/debug/kprobes/list")


@pytest.fixture(scope="module")
def relay() -> Iterator[Probes]:
    """kprobes and kretprobes everywhere, the copy by the module's relay."""
    yield from attached(attach="kprobe", copy="relay")


@pytest.fixture(scope="module")
def breakpoint_probes() -> Iterator[Probes]:
    """The copy by a hardware breakpoint."""
    yield from attached(copy="breakpoint")


def _drive(client: SockoptClient) -> None:
    for i in range(COUNT):
        client.set(Op.SINK, b"s" * 32, token=1 + i)
        client.get(Op.SOURCE, token=100 + i, reply_size=200)


def test_set_and_get_are_split_into_every_stage(recorder: Recorder) -> None:
    with recorder() as handle, SockoptClient() as client:
        _drive(client)
        client.set_text(b"plain")
        assert client.get_text() == b"--------kernel---------\0"
    rows = handle.run.exchanges
    sets, gets = rows[rows["channel"] == "setsockopt"], rows[rows["channel"] == "getsockopt"]
    assert (len(sets), len(gets)) == (COUNT + 1, COUNT + 1)
    assert rows["logged"].all()
    assert sets["token"].tolist() == [*range(1, COUNT + 1), 0]
    stages = ["encode_ns", "entry_ns", "handler_ns", "exit_ns", "decode_ns"]
    assert rows[stages].notna().all(axis=None)
    assert sets["copy_ns"].isna().all()
    assert gets["copy_ns"].notna().all()
    assert gets["copied_bytes"].tolist() == [40 + 200] * COUNT + [24]
    assert gets["reply_bytes"].tolist() == [40 + 200] * COUNT + [24]
    assert sets["request_bytes"].tolist() == [48 + 32] * COUNT + [5]
    assert rows["optname"].value_counts().to_dict() == {10129: 2 * COUNT, 10128: 2}


@pytest.mark.parametrize(("place", "stage"), [("handler", "handler"), ("copy", "copy")])
def test_an_injected_delay_is_found_in_its_stage(
    recorder: Recorder, place: str, stage: str
) -> None:
    delay = 700_000
    with recorder() as handle, SockoptClient() as client:
        for i in range(COUNT):
            client.get(Op.SOURCE, token=i + 1, reply_size=8)
        for i in range(COUNT):
            client.get(Op.SOURCE, token=i + 100, reply_size=8, **{f"{place}_delay_ns": delay})
    column = handle.run.exchanges[f"{stage}_ns"]
    assert (column[COUNT:] >= delay).all()
    assert column[COUNT:].median() - column[:COUNT].median() == pytest.approx(delay, rel=0.1)


def test_errors_are_rows(recorder: Recorder) -> None:
    with recorder() as handle, SockoptClient() as client:
        with pytest.raises(OSError, match="No space"):
            client.get(Op.ECHO, token=1, error=errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            client.set(Op.SINK, token=2, error=errno.ENOSPC)
    rows = handle.run.exchanges
    assert rows["status"].tolist() == ["error", "error"]
    assert rows["errno"].tolist() == [errno.ENOSPC, errno.ENOSPC]
    assert rows["copied_bytes"].eq(0).all()


def test_kprobes_and_the_relay(relay: Probes, tmp_path: Path) -> None:
    """The relay is armed while its probe is attached; of msgchan's copies its own word counts."""
    assert "_copy_to_user" in KPROBES.read_text()
    recorder = Recorder(relay, tmp_path)
    with recorder() as handle, SockoptClient() as client:
        _drive(client)
    events = handle.run.events
    copies = events[events["point"] == "msgchan_copy"]
    assert len(copies) == COUNT
    assert copies["size"].eq(wire.REPLY.size + 200).all()
    assert not (events["point"] == "copy_to_user").any()
    plan = handle.run.meta["plan"]
    assert {row["site"] for row in plan if row["point"] == "netlink_sendmsg"} == {"kprobe"}
    assert "msgchan:handled_any" in {row["target"] for row in plan}


def test_kretprobes_return_for_every_reader_that_waits(relay: Probes, tmp_path: Path) -> None:
    """More readers wait in recvfrom at once than BCC's default has instances for."""
    readers = 29
    with Recorder(relay, tmp_path)() as handle, ExitStack() as stack:
        socks = [stack.enter_context(MsgchanSocket()) for _ in range(readers)]
        threads = [threading.Thread(target=sock.receive) for sock in socks]
        for thread in threads:
            thread.start()
        _await_all_in_recvfrom(threads)
        for number, sock in enumerate(socks):
            sock.send_request(Request(Op.ECHO, token=number + 1))
        for thread in threads:
            thread.join()
    rows = handle.run.exchanges
    assert len(rows) == readers
    assert rows["status"].eq("ok").all()
    assert rows["queue_ns"].eq(0).all(), "they all waited"


def _await_all_in_recvfrom(threads: list[threading.Thread]) -> None:
    """Until each sleeps in recvfrom (x86-64's system call 45)."""
    deadline = time.monotonic() + 30
    for thread in threads:
        call = Path(f"/proc/self/task/{thread.native_id}/syscall")
        while call.read_text().split()[0] != "45":
            assert time.monotonic() < deadline


def test_the_relay_sees_handlers_that_are_not_ours(relay: Probes, tmp_path: Path) -> None:
    path = tmp_path / "iptables"
    # The first call may load ip_tables and be repeated.
    subprocess.run(["iptables-legacy", "-L", "-n"], check=True, capture_output=True)
    assert record_command(path, ["iptables-legacy", "-L", "-n"], probes=relay) == 0
    rows = Recorder(relay, tmp_path).opened(path, full=False).exchanges
    gets = rows[rows["channel"] == "getsockopt"]
    assert len(gets) == 2
    assert gets["copy_ns"].notna().all()
    assert gets["unexplained_ns"].eq(0).all()


def test_copies_that_the_module_s_tracepoint_cannot_see_are_told(recorder: Recorder) -> None:
    """The plan's own choice sees msgchan's answers only: of others the copy is in `handler`."""
    subprocess.run(["iptables-legacy", "-L", "-n"], check=True, capture_output=True)
    path = recorder.path / "iptables"
    assert record_command(path, ["iptables-legacy", "-L", "-n"], probes=recorder.probes) == 0
    run = recorder.opened(path, full=False)
    gets = run.exchanges[run.exchanges["channel"] == "getsockopt"]
    assert gets["copy_ns"].isna().all()
    told = run.ledger.set_index("line").loc["not watched", "note"]
    assert f"the copy of {len(gets)} getsockopts (by module_tracepoint" in told


def test_the_breakpoint_needs_no_module(breakpoint_probes: Probes, tmp_path: Path) -> None:
    """It sees where a copy begins and how large it is; the end stays unknown, and says so."""
    path = tmp_path / "iptables"
    # The first call may load ip_tables and be repeated.
    subprocess.run(["iptables-legacy", "-L", "-n"], check=True, capture_output=True)
    status = record_command(path, ["iptables-legacy", "-L", "-n"], probes=breakpoint_probes)
    assert status == 0
    rows = Recorder(breakpoint_probes, tmp_path).opened(path, full=False).exchanges
    gets = rows[rows["channel"] == "getsockopt"]
    assert len(gets) == 2
    assert (gets["copied_bytes"] > 0).all()
    assert gets["handler_ns"].notna().all()
    assert gets["copy_ns"].isna().all()
    assert (gets["unexplained_ns"] > 0).all()


#: Five threads that were there before, and five that these start, ask when told: iptables'
#: IPT_SO_GET_INFO, which copies 84 bytes.
ASKERS = f"""
import ctypes, socket, sys, threading

libc = ctypes.CDLL(None)

def ask():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        for _ in range({COUNT}):
            table, room = ctypes.create_string_buffer(b"filter", 84), ctypes.c_uint(84)
            assert libc.getsockopt(sock.fileno(), 0, 64, table, ctypes.byref(room)) == 0

def wait():
    there.wait()
    told.wait()
    ask()
    another = threading.Thread(target=ask)
    another.start()
    another.join()

there, told = threading.Barrier(6), threading.Event()
threads = [threading.Thread(target=wait) for _ in range(5)]
for thread in threads:
    thread.start()
there.wait()
print("there", flush=True)
sys.stdin.readline()
told.set()
for thread in threads:
    thread.join()
"""


@contextmanager
def asker() -> Iterator[tuple[int, Callable[[], None]]]:
    """A process of several threads that ask iptables' option; its id, and what lets them begin."""
    subprocess.run(["iptables-legacy", "-L", "-n"], check=True, capture_output=True)
    with subprocess.Popen(
        [sys.executable, "-c", ASKERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        go = process.stdin

        def begin() -> None:
            go.write(b"\n")
            go.flush()

        yield process.pid, begin


def _lost_copies(run: Run) -> int:
    """Copies that the breakpoint could not write down; nothing else may be wrong.

    A breakpoint's program runs as in an NMI: while another processor is just writing to the
    ring, it gets no place there (``__bpf_ringbuf_reserve`` only tries the lock then).
    """
    lost = int(run.meta["accounts"]["getsockopt"]["lost"])
    wrong = run.ledger[~run.ledger["ok"]]
    assert wrong["line"].tolist() == ["ring full"] * bool(lost), wrong.to_string()
    assert wrong["count"].sum() == lost
    return lost


def _uncopied(run: Run) -> int:
    """Successful gets of which no copy was seen; the ledger must tell as many."""
    gets = run.exchanges.query("channel == 'getsockopt' and status == 'ok' and reply_bytes > 0")
    missing = int((gets["copied_bytes"] == 0).sum())
    told = run.ledger.set_index("line").loc["not watched", "note"]
    assert (f"the copy of {missing} getsockopts" in told) == (missing > 0)
    print(f"{len(gets)} gets, {missing} without their copy")
    return missing


def test_the_breakpoint_is_in_every_thread(breakpoint_probes: Probes, tmp_path: Path) -> None:
    """Those that were there before it, and those that they start; each copy is told once."""
    path = tmp_path / "threads"
    with asker() as (pid, begin):
        record_process(path, pid, ready=begin, probes=breakpoint_probes)
    run = load(path)
    gets = run.exchanges.query("channel == 'getsockopt'")
    assert len(gets) == 10 * COUNT
    assert gets["tid"].nunique() == 10
    assert _uncopied(run) == _lost_copies(run)
    assert gets["copied_bytes"].eq(84).sum() == len(gets) - _lost_copies(run)


def test_the_breakpoint_follows_a_loop_of_programs(
    breakpoint_probes: Probes, tmp_path: Path
) -> None:
    """A shell that starts programs all the time, also while the breakpoint is being set."""
    subprocess.run(["iptables-legacy", "-L", "-n"], check=True, capture_output=True)
    loop = "echo; while iptables-legacy -L -n; do :; done >/dev/null"
    with subprocess.Popen(["sh", "-c", loop], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline()
        path = tmp_path / "loop"
        record_process(path, shell.pid, duration=4.0, probes=breakpoint_probes)
        shell.send_signal(signal.SIGKILL)
    run = load(path)
    assert len(run.exchanges.query("channel == 'getsockopt'")) > 2
    assert _uncopied(run) == _lost_copies(run)


def test_a_copy_that_two_breakpoints_see_is_told_once(
    breakpoint_probes: Probes, tmp_path: Path
) -> None:
    """A program that was forked while its parent got one may have inherited that."""
    path = tmp_path / "twice"
    with asker() as (pid, begin):

        def ready() -> None:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                breakpoint_probes._attach_breakpoint(int(thread.name))
            begin()

        record_process(path, pid, ready=ready, probes=breakpoint_probes)
    run = load(path)
    gets = run.exchanges.query("channel == 'getsockopt'")
    assert len(gets) == 10 * COUNT
    assert gets["copied_bytes"].eq(84).sum() == len(gets) - _lost_copies(run)


def test_a_filtered_out_process_leaves_no_record(recorder: Recorder) -> None:
    with recorder() as handle:
        subprocess.run(["true"], check=True)
    assert handle.run.exchanges.empty
