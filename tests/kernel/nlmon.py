# SPDX-License-Identifier: GPL-2.0-or-later
"""A witness that is not ours: the messages that the kernel's ``nlmon`` device saw.

As a program it runs in the network namespace that it watches, and writes what it saw to standard
output when its standard input ends: a line of JSON for each message.

The device copies every netlink buffer that goes to or comes from user space, but for some
protocols, such as uevents (``netlink_deliver_tap`` and ``netlink_filter_tap`` in
``net/netlink/af_netlink.c``).
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

DEVICE = "nlmon0"
_ETH_P_ALL = 3
_SO_RCVBUFFORCE, _SOL_PACKET, _PACKET_STATISTICS = 33, 263, 6
_HEADER = struct.Struct("<IHHII")
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST = 1


@dataclass(frozen=True)
class Message:
    """A message to the kernel, or from it; of an NLMSG_ERROR or NLMSG_DONE also its error."""

    to_kernel: bool
    proto: int
    type: int
    seq: int
    size: int
    errno: int = 0


@dataclass
class Seen:
    """The messages, in their order, and how many buffers the witness lost."""

    messages: list[Message] = field(default_factory=list)
    lost: int = 0


def messages(proto: int, buffer: bytes) -> Iterator[Message]:
    """The messages of a buffer, as ``netlink_rcv_skb`` splits it.

    The device does not tell who sent it; but what goes to the kernel is a request, and says so.
    """
    at = 0
    while len(buffer) - at >= _HEADER.size:
        size, kind, flags, seq, _portid = _HEADER.unpack_from(buffer, at)
        if not _HEADER.size <= size <= len(buffer) - at:
            return
        to_kernel, errno = bool(flags & _NLM_F_REQUEST), 0
        # A dump that fails says so in its NLMSG_DONE (netlink_dump_done() in af_netlink.c).
        if kind in (_NLMSG_ERROR, _NLMSG_DONE) and not to_kernel and size >= _HEADER.size + 4:
            errno = -struct.unpack_from("<i", buffer, at + _HEADER.size)[0]
        yield Message(to_kernel, proto, kind, seq, size, errno)
        at += (size + 3) & ~3


@contextmanager
def watched(namespace: str) -> Iterator[Seen]:
    """Watch a network namespace; the result is filled in at the end of the context."""
    inside = ["ip", "netns", "exec", namespace]
    subprocess.run([*inside, "ip", "link", "add", DEVICE, "type", "nlmon"], check=True)
    subprocess.run([*inside, "ip", "link", "set", DEVICE, "up"], check=True)
    seen = Seen()
    with subprocess.Popen(
        [*inside, sys.executable, "-S", Path(__file__)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        yield seen
        said, _ = watcher.communicate()
    first, *lines = said.splitlines()
    seen.lost = int(first)
    seen.messages += [Message(**json.loads(line)) for line in lines]


def main() -> None:
    """Watch until standard input ends."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
    tap.bind((DEVICE, _ETH_P_ALL))
    tap.setblocking(False)
    print("ready", flush=True)
    found: list[Message] = []
    over = False
    while not over:
        ready, _, _ = select.select([tap, sys.stdin], [], [])
        over = sys.stdin in ready
        found += _arrived(tap)
    _packets, lost = struct.unpack("<II", tap.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    print(lost)
    for message in found:
        print(json.dumps(asdict(message)))


def _arrived(tap: socket.socket) -> Iterator[Message]:
    while True:
        try:
            buffer, (_device, proto, *_rest) = tap.recvfrom(1 << 20)
        except BlockingIOError:
            return
        yield from messages(proto, buffer)


if __name__ == "__main__":
    main()
