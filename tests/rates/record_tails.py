# SPDX-License-Identifier: GPL-2.0-or-later
"""Record like runs of several sizes, and runs in which some requests are slow, in the guest.

    tracer lab --deterministic -- python tests/rates/record_tails.py DIR

Writes ``DIR/<count>-same-<number>``: so many echo requests over netlink and as many sets and
gets of an option; and ``DIR/<count>-slow``: so many echo requests and among them ``SLOW`` more
that the module's handler holds for ``SLOW_NS``. Every boot makes the same requests, but which
are the slow ones differs with DIR's name.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from tracer.attach.probes import Probes
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.sockopt import SockoptClient
from tracer.clients.wire import Op
from tracer.recorder.record import capture
from tracer.recorder.session import Options, attach

COUNTS = (400, 1000, 5000)
SAME_RUNS = 3
SLOW = 32
SLOW_NS = 1_000_000
PAYLOAD = b"x" * 64
#: Bytes; a run fits, so that nothing is drained while it lasts.
RING = 32 << 20


def echo(count: int, slow: frozenset[int] = frozenset()) -> None:
    """Send so many requests over netlink; those whose number is in ``slow`` are held."""
    with MsgchanSocket() as socket:
        for number in range(count):
            socket.request(
                Op.ECHO,
                PAYLOAD,
                token=number + 1,
                reply_size=len(PAYLOAD),
                handler_delay_ns=SLOW_NS if number in slow else 0,
            )


def options(count: int) -> None:
    """Set and get the module's option so often."""
    with SockoptClient() as client:
        for number in range(count):
            client.set(Op.ECHO, PAYLOAD, token=number + 1)
            client.get(Op.SOURCE, token=number + 1, reply_size=len(PAYLOAD))


def record(directory: Path, count: int, probes: Probes) -> None:
    """The runs of one size."""
    for number in range(SAME_RUNS):
        with capture(directory / f"{count}-same-{number}", probes=probes):
            echo(count)
            options(count)
    chosen = random.Random(f"{directory.name} {count}").sample(range(count + SLOW), SLOW)
    with capture(directory / f"{count}-slow", probes=probes):
        echo(count + SLOW, frozenset(chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    directory.mkdir(parents=True)
    probes = attach(Options(ring=RING))
    for count in COUNTS:
        record(directory, count, probes)
        print(f"{directory}: {count} requests recorded", flush=True)
    probes.close()


if __name__ == "__main__":
    main()
