# SPDX-License-Identifier: GPL-2.0-or-later
"""What nlmon is no witness of: socket options, many namespaces, answers by others, a late begin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Recorder

from tracer.module.kmod import DEFAULTS
from tracer.recorder.record import record_command, record_process

#: Seconds after which a program that does not come to its end is ended, which is a failure.
DEADLINE = 300.0
TRACEFS = Path("/sys/kernel/tracing")
MSGCHAN = int(DEFAULTS["sockopt_base"])
SOCKOPTS = {
    "iptables-legacy": ("iptables-legacy", 2, 0),
    "ip6tables-legacy": ("ip6tables-legacy", 10, 41),
}


@pytest.mark.usefixtures("msgchan")
@pytest.mark.parametrize("name", SOCKOPTS)
def test_a_program_that_uses_socket_options(name: str, recorder: Recorder, namespace: str) -> None:
    """200 rules are restored and saved; the witness is a kprobe event of the kernel's own."""
    program, family, level = SOCKOPTS[name]
    rule = f"-A INPUT -s {'::1' if level else '10.0.0.1'} -j ACCEPT\n"
    file = recorder.path / "restore"
    file.write_text(f"*filter\n{rule * 200}COMMIT\n")
    inside = ["nsenter", f"--net=/run/netns/{namespace}", "sh", "-c"]
    command = f"{program}-restore {file}; {program}-save"
    subprocess.run([*inside, command], check=True, capture_output=True)
    with sockopt_calls() as calls:
        assert record_command(recorder.path / "r", [*inside, command], probes=recorder.probes) == 0
    run = recorder.opened(recorder.path / "r", full=False)
    rows = run.exchanges[run.exchanges["channel"].isin(["setsockopt", "getsockopt"])]
    assert set(rows["level"]) == {level}
    ours = Counter(zip(rows["channel"].astype(str), rows["optname"].astype("int64"), strict=True))
    print(name, ours)
    # The recorder reads msgchan's counters by options of its own.
    theirs = {(c, o): n for (pf, c, o), n in calls.items() if pf == family and o < MSGCHAN}
    assert ours == Counter(theirs)
    assert ours.total() > 0


@contextmanager
def sockopt_calls() -> Iterator[Counter[tuple[int, str, int]]]:
    """Family, function and option of each call of nf_setsockopt and nf_getsockopt."""
    instance = TRACEFS / "instances/witness"
    names = ("setsockopt", "getsockopt")
    found: Counter[tuple[int, str, int]] = Counter()
    for name in names:
        define(f"p:witness/{name} nf_{name} pf=%si:u8 option=%dx:s32")
    instance.mkdir()
    try:
        enabled = instance / "events/witness/enable"
        enabled.write_text("1")
        yield found
        enabled.write_text("0")
        trace = (instance / "trace").read_text()
        for call in re.finditer(r" (\w+): \(.*\) pf=(\d+) option=(\d+)", trace):
            found[int(call[2]), call[1], int(call[3])] += 1
    finally:
        instance.rmdir()
        for name in names:
            define(f"-:witness/{name}")


def define(line: str) -> None:
    """Add a kprobe event, or remove one. Python's mode "a" would seek, which is refused."""
    fd = os.open(TRACEFS / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


#: Holds each namespace until the end: a new one gets the number of one that is gone.
NAMESPACES = """
import ctypes, subprocess
held = []
for _ in range(50):
    assert ctypes.CDLL(None).unshare(0x40000000) == 0
    held.append(open("/proc/self/ns/net"))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
"""


@pytest.mark.usefixtures("msgchan")
def test_fifty_network_namespaces(recorder: Recorder) -> None:
    """The same program in each of them: the rows tell them apart."""
    path = recorder.path / "r"
    assert record_command(path, [sys.executable, "-c", NAMESPACES], probes=recorder.probes) == 0
    run = recorder.opened(path, full=False)
    each = run.exchanges.groupby("netns").size()
    assert len(each) == 50
    assert each.nunique() == 1


#: Links come and go until the monitor has printed that one went.
UEVENTS = """
stdbuf -oL udevadm monitor --kernel >told & listener=$!
until grep -q remove told; do ip link add one type dummy; ip link del one; done
kill $listener
wait $listener
true
"""


@pytest.mark.usefixtures("msgchan")
def test_messages_without_a_header(
    recorder: Recorder, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uevents are text: each that udevadm printed is a row, and none has an invented type."""
    monkeypatch.chdir(recorder.path)
    inside = ["nsenter", f"--net=/run/netns/{namespace}", "sh", "-c", UEVENTS]
    path = recorder.path / "r"
    assert record_command(path, inside, duration=DEADLINE, probes=recorder.probes) == 0
    run = recorder.opened(path, full=False)
    rows = run.exchanges[(run.exchanges["proto"] == 15) & (run.exchanges["channel"] == "notify")]
    printed = Path("told").read_text().count("\nKERNEL[")
    print(f"{len(rows)} rows, {printed} printed")
    assert 0 < printed <= len(rows)
    assert rows["msg_type"].isna().all()


AUDIT = """
import socket, struct
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as audit:
    audit.bind((0, 0))
    audit.send(struct.pack("<IHHII", 16, 1000, 1, 77, 0))
    assert struct.unpack_from("<IHHII", audit.recv(65536))[1] == 1000
"""


@pytest.mark.usefixtures("msgchan")
def test_an_answer_by_a_kernel_thread(recorder: Recorder) -> None:
    """AUDIT_GET is answered by a thread of the kernel's, after the send call or in its midst."""
    path = recorder.path / "r"
    assert record_command(path, [sys.executable, "-c", AUDIT], probes=recorder.probes) == 0
    run = recorder.opened(path, full=False)
    (asked,) = run.exchanges[run.exchanges["proto"] == 9].itertuples()
    assert (asked.channel, asked.msg_type, asked.seq) == ("netlink", 1000, 77)
    assert (asked.status, asked.match, asked.replies) == ("ok", "id", 1)


DUMP = """
import socket, struct, sys
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
    route.bind((0, 0))
    route.send(struct.pack("<IHHIIB3x", 20, 26, 0x301, 78, 0, 2))
    route.recv(4096)
    print("begun", flush=True)
    sys.stdin.readline()
    while struct.unpack_from("<IHHII", route.recv(4096))[1] != 3:
        pass
"""


@pytest.mark.usefixtures("msgchan")
def test_a_recording_that_begins_in_the_middle_of_a_dump(
    recorder: Recorder, namespace: str
) -> None:
    """What is left of it is one row, which says that it is a part."""
    routes = "".join(f"route add 10.2.{n // 250}.{n % 250}/32 dev lo\n" for n in range(400))
    ip = ["ip", "-n", namespace, "-batch", "-"]
    subprocess.run(ip, input=routes, text=True, check=True)
    command = ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-c", DUMP]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        path = recorder.path / "r"

        def go_on() -> None:
            assert program.stdin is not None
            program.stdin.write("\n")
            program.stdin.close()

        record_process(path, program.pid, ready=go_on, probes=recorder.probes)
    assert program.returncode == 0
    run = recorder.opened(path, full=False)
    (row,) = run.exchanges.itertuples()
    assert (row.channel, row.seq, row.status) == ("netlink", 78, "partial")
    assert row.comm.startswith("python")
    assert row.replies > 1
