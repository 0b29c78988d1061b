# SPDX-License-Identifier: GPL-2.0-or-later
"""The other tools that the bench compares with, each as its manual tells to use it.

Where a tool watches a function, it watches one for each call of the client: ``netlink_unicast``,
which a round trip enters twice, and the two that every socket option of netfilter goes through.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

FUNCTIONS = ("netlink_unicast", "nf_setsockopt", "nf_getsockopt")
#: How often these are entered in a round of the client's four calls, and its system calls.
ENTERED, SYSTEM_CALLS = 4, 6
TRACEFS = Path("/sys/kernel/tracing")
WATCHED_CALLS = "sendto,recvfrom,setsockopt,getsockopt"
#: Seconds between two looks at what a tool has said. The deadline is the lab's, by the clock of
#: the host: this one jumps ahead while the guest waits.
LOOK_SECONDS = 0.05

_BEGIN = 'BEGIN { printf("ready\\n"); }'
_ENTRY = ", ".join(f"kprobe:{name}" for name in FUNCTIONS)
_RETURN = ", ".join(f"kretprobe:{name}" for name in FUNCTIONS)
HISTOGRAM = f"""{_BEGIN}
{_ENTRY} {{ @start[tid] = nsecs; }}
{_RETURN} /@start[tid]/ {{ @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }}
"""
PER_EVENT = f"""{_BEGIN}
{_ENTRY} {{ printf("entry %d %llu\\n", tid, nsecs); }}
{_RETURN} {{ printf("return %d %llu\\n", tid, nsecs); }}
"""

#: A tool at work: what stands before the client's command line.
AtWork = AbstractContextManager[Sequence[str]]


@dataclass(frozen=True)
class Tool:
    """``at_work`` starts it, given the file that takes what it says, and ends it.

    ``per_round`` is how many of the things that it watches are in one round of the client's four
    calls, ``count`` counts those that its output tells of.
    """

    name: str
    package: str
    at_work: Callable[[IO[bytes]], AtWork]
    per_round: int
    count: Callable[[str], int]


@contextmanager
def ftrace(told: IO[bytes]) -> Iterator[Sequence[str]]:
    """Events of kprobe and kretprobe in the kernel's own buffer, which nobody reads."""
    kinds = {"p": "entry", "r": "return"}
    probes = [(kind, f"bench/{name}_{kinds[kind]}", name) for name in FUNCTIONS for kind in kinds]
    enable = TRACEFS / "events" / "bench" / "enable"
    _define(f"{kind}:{event} {name}\n" for kind, event, name in probes)
    enable.write_text("1")
    try:
        yield ()
        told.write((TRACEFS / "kprobe_profile").read_bytes())
    finally:
        enable.write_text("0")
        _define(f"-:{event}\n" for _, event, _ in probes)


def _define(commands: Iterable[str]) -> None:
    """Append to kprobe_events. Python's own mode for that seeks, which tracefs refuses."""
    fd = os.open(TRACEFS / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, "".join(commands).encode())
    finally:
        os.close(fd)


def attached(ready: str, *argv: str) -> Callable[[IO[bytes]], AtWork]:
    """A tool that runs beside the client, and says on a line of its own that it is ready."""

    @contextmanager
    def at_work(told: IO[bytes]) -> Iterator[Sequence[str]]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        tool = subprocess.Popen(argv, stdout=told, stderr=subprocess.STDOUT, env=environment)
        try:
            _wait_for(ready, tool, Path(told.name))
            yield ()
        finally:
            tool.send_signal(signal.SIGINT)
            tool.wait()

    return at_work


def _wait_for(ready: str, tool: subprocess.Popen[bytes], told: Path) -> None:
    while not re.search(rf"^{ready}", told.read_text(errors="replace"), re.M):
        if tool.poll() is not None:
            raise SystemExit(f"{tool.args!r} ended:\n{told.read_text(errors='replace')}")
        time.sleep(LOOK_SECONDS)


def running(*argv: str) -> Callable[[IO[bytes]], AtWork]:
    """A tool that runs the client itself; it tells on standard error."""

    @contextmanager
    def at_work(_told: IO[bytes]) -> Iterator[Sequence[str]]:
        yield argv

    return at_work


def hits(profile: str) -> int:
    """The hits in the kernel's kprobe_profile, whose columns are event, hits and misses."""
    return sum(int(line.split()[1]) for line in profile.splitlines())


def in_histogram(said: str) -> int:
    """The sum of a histogram of bpftrace."""
    return sum(int(found) for found in re.findall(r"^[\[(].*[\])]\s+(\d+) \|", said, re.M))


def lines(pattern: str) -> Callable[[str], int]:
    """Counts the lines that begin so."""
    return lambda said: len(re.findall(f"^{pattern}", said, re.M))


def in_funclatency(said: str) -> int:
    """The count below the histograms of funclatency."""
    return sum(int(found) for found in re.findall(r"\bcount: (\d+)", said))


TOOLS = (
    Tool("ftrace kprobe events", "", ftrace, 2 * ENTERED, hits),
    Tool(
        "bpftrace, histogram", "bpftrace", attached("ready", "bpftrace", "-e", HISTOGRAM),
        ENTERED, in_histogram,
    ),
    Tool(
        "bpftrace, line per event", "bpftrace", attached("ready", "bpftrace", "-e", PER_EVENT),
        2 * ENTERED, lines("(entry|return) "),
    ),
    Tool(
        "BCC's funclatency", "bpfcc-tools",
        attached("Tracing ", "funclatency-bpfcc", "-r", f"^({'|'.join(FUNCTIONS)})$"),
        ENTERED, in_funclatency,
    ),
    Tool(
        "perf trace", "linux-perf", running("perf", "trace", "-e", WATCHED_CALLS, "--"),
        SYSTEM_CALLS, lines(r"(?!.*\[continued\]).*\b(sendto|recvfrom|[gs]etsockopt)\("),
    ),
    Tool(
        "strace", "strace", running("strace", "-e", f"trace={WATCHED_CALLS}", "--"),
        SYSTEM_CALLS, lines(r"(sendto|recvfrom|[gs]etsockopt)\("),
    ),
)  # fmt: skip


def versions(tools: Sequence[Tool]) -> dict[str, str]:
    """The versions of the packages of these tools."""
    packages = sorted({tool.package for tool in tools if tool.package})
    ask = ["dpkg-query", "-W", "-f", "${Version}"]
    return {name: subprocess.check_output([*ask, name], text=True) for name in packages}
