# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs: every message that another witness saw is a row, and no other.

Each program runs in a network namespace of its own, with the kernel's ``nlmon`` as witness, so
that nobody else's messages are among them.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Recorder
from nlmon import Seen, watched

from tracer.recorder.record import record_command
from tracer.run import Run

#: Seconds after which a program that does not come to its end is ended, which is a failure.
DEADLINE = 300.0
#: 500 rules of nftables in one transaction, so in one buffer.
RULES = "table ip many {\n chain every {\n" + "  ip saddr 10.0.0.1 accept\n" * 500 + " }\n}\n"
RESTORE = "*filter\n" + "-A INPUT -s 10.0.0.1 -j ACCEPT\n" * 200 + "COMMIT\n"
SETS = "create many hash:ip\n" + "".join(
    f"add many 10.0.{n // 250}.{n % 250}\n" for n in range(1000)
)
THREADS = """
import threading
from pyroute2 import IPRoute
def ask():
    with IPRoute() as route:
        for _ in range(5):
            route.get_links()
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
#: Twenty sockets that are told of links, and one that makes a link and removes it again.
LISTENERS = """
import socket
from pyroute2 import IPRoute
from pyroute2.netlink.rtnl import RTM_DELLINK
def listener():
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    found.bind((0, 1))
    return found
listeners = [listener() for _ in range(20)]
with IPRoute() as route:
    route.link("add", ifname="one", kind="dummy")
    route.link("del", index=route.link_lookup(ifname="one")[0])
for one in listeners:
    while int.from_bytes(one.recv(65536)[4:6], "little") != RTM_DELLINK:
        pass
"""
ASYNC = """
import asyncio
from pyroute2 import AsyncIPRoute
async def ask():
    async with AsyncIPRoute() as route:
        for _ in range(5):
            async for _link in await route.get_links():
                pass
async def main():
    await asyncio.gather(*(ask() for _ in range(4)))
asyncio.run(main())
"""
NDB = """
from pyroute2 import NDB
with NDB() as ndb:
    print(ndb.interfaces.summary())
"""


@dataclass(frozen=True)
class Program:
    """A command line of the shell, its exit status, and how many requests it sends at least.

    ``first`` is run before it, untraced. ``told`` are the protocol and type of the messages of
    which the program must have a row for each that the witness saw, though it did not ask.
    """

    command: str
    status: int = 0
    least: int = 1
    first: str = "true"
    told: tuple[int, int] = (0, 0)


def listening(listener: str, word: str, event: str) -> str:
    """A listener in the background, events until it has printed a word, and its end."""
    again = f"until grep -q {word} told; do {event}; done"
    return f"{listener} >told & listener=$!; {again}; kill $listener; wait $listener; true"


PROGRAMS = {
    "ip link": Program("ip -d link show"),
    "ip address": Program("ip address show; ip rule show; ip neighbour show"),
    "ip route": Program("ip route show table all"),
    "a table that is not there": Program("ip route show table 12345", 2),
    "ip link add, up, del": Program(
        "ip link add one type veth peer two; ip link set one up; ip link del one"
    ),
    "a device that is not there": Program("ip link del nothing", 1),
    "ip -batch": Program(
        "ip -batch batch", least=40, first="seq -f 'address add 10.1.0.%g/32 dev lo' 40 >batch"
    ),
    "ss": Program("ss -anp"),
    "nft, 500 rules": Program("nft -f rules", least=500),
    "nft list": Program("nft list ruleset", first="nft -f rules"),
    "nft, a failing batch": Program("nft -f failing", 1, least=500),
    "nft echo": Program("nft -e add rule ip many every counter", first="nft -f rules"),
    "iptables-nft restore": Program("iptables-nft-restore restore", least=200),
    "ipset restore": Program("ipset restore -f sets"),
    "ipset list": Program("ipset list many", first="ipset restore -f sets"),
    "ipvsadm": Program("ipvsadm -A -t 10.0.0.1:80; ipvsadm -L -n"),
    "conntrack": Program("conntrack -L; conntrack -S"),
    "ethtool": Program("ethtool -k lo; ethtool lo"),
    "pyroute2, 8 threads": Program("python threads.py"),
    "pyroute2, asyncio": Program("python asynchronous.py"),
    "pyroute2, NDB": Program("python ndb.py"),
    "20 listeners": Program("python listeners.py", told=(0, 17)),
    "ip monitor": Program(
        listening("ip monitor link", "one", "ip link add one type dummy; ip link del one"),
        told=(0, 17),
    ),
    "nft monitor": Program(
        listening("nft monitor", "delete", "nft add table many; nft delete table many"),
        told=(12, 10 << 8 | 2),
    ),
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the programs read; it is also their current directory."""
    failing = RULES + "add rule ip many nowhere accept\n"
    for name, text in (("rules", RULES), ("failing", failing), ("restore", RESTORE)):
        (tmp_path / name).write_text(text)
    (tmp_path / "sets").write_text(SETS)
    scripts = {"threads": THREADS, "listeners": LISTENERS, "asynchronous": ASYNC, "ndb": NDB}
    for name, text in scripts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("msgchan", "files")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program(name: str, recorder: Recorder, namespace: str) -> None:
    program = PROGRAMS[name]
    inside = ["nsenter", f"--net=/run/netns/{namespace}", "sh", "-c"]
    subprocess.run([*inside, program.first], check=True)
    path = recorder.path / "program"
    with watched(namespace) as seen:
        status = record_command(
            path, [*inside, program.command], duration=DEADLINE, probes=recorder.probes
        )
    run = recorder.opened(path)
    print(name, report(run, seen))
    assert seen.lost == 0
    assert status == program.status
    assert requests(seen).total() >= program.least
    assert rows(run) == requests(seen)
    assert failures(run) == errors(seen)
    assert bool(errors(seen)) or program.status == 0
    assert notified(run, program.told) == told(seen, program.told)
    assert bool(told(seen, program.told)) == (program.told != (0, 0))


def notified(run: Run, kind: tuple[int, int]) -> int:
    """How many notifications of a protocol and type are rows."""
    rows = run.exchanges[run.exchanges["channel"] == "notify"]
    types = rows["msg_type"].fillna(0).astype("int64")
    return int(((rows["proto"] == kind[0]) & (types == kind[1])).sum())


def told(seen: Seen, kind: tuple[int, int]) -> int:
    """How many messages of a protocol and type nlmon saw come from the kernel."""
    return sum((m.proto, m.type) == kind for m in seen.messages if not m.to_kernel)


def requests(seen: Seen) -> Counter[tuple[int, ...]]:
    """What nlmon saw go to the kernel."""
    return Counter((m.proto, m.type, m.seq, m.size) for m in seen.messages if m.to_kernel)


def rows(run: Run) -> Counter[tuple[int, ...]]:
    """The same of the recording."""
    sent = run.exchanges[run.exchanges["channel"] == "netlink"]
    columns = [sent[c].astype("int64") for c in ("proto", "msg_type", "seq", "request_bytes")]
    return Counter(zip(*columns, strict=True))


def errors(seen: Seen) -> Counter[tuple[int, ...]]:
    """The errors that the kernel answered with, by protocol and sequence number."""
    return Counter((m.proto, m.seq, m.errno) for m in seen.messages if not m.to_kernel and m.errno)


def failures(run: Run) -> Counter[tuple[int, ...]]:
    """The same of the recording."""
    sent = run.exchanges[run.exchanges["channel"] == "netlink"]
    failed = sent[sent["errno"] != 0]
    columns = [failed[c].astype("int64") for c in ("proto", "seq", "errno")]
    return Counter(zip(*columns, strict=True))


def report(run: Run, seen: Seen) -> str:
    """How many rows there are, and how many of them the witness did not see, or saw otherwise."""
    ours, theirs = rows(run), requests(seen)
    wrong = (ours - theirs).total()
    return f"{ours.total()} rows, {theirs.total()} expected, {wrong} wrong"
