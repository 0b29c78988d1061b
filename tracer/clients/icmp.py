# SPDX-License-Identifier: GPL-2.0-or-later
"""The listener for the module's ICMP notifications, and the pings that cause them."""

from __future__ import annotations

import socket
import struct
import time
from typing import NamedTuple

from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST

from tracer.clients import wire
from tracer.clients.netlink import DEADLINE_S, DirectSocket

ECHO_REQUEST = 8
PACKETS_PER_PING = 2
"""A ping over loopback is two incoming packets: the echo request and its reply."""

_ICMP_HEADER = struct.Struct("!BBHHH")


class Notification(NamedTuple):
    """The IPv4 addresses of one incoming ICMP packet, as text."""

    source: str
    destination: str


class IcmpListener(DirectSocket):
    """Registers with the module and receives one message for every ICMP packet."""

    notification_type = wire.IMP2_K_MSG

    def __init__(self, portid: int = 0, proto: int | None = None) -> None:
        super().__init__(wire.parameters().icmp_proto if proto is None else proto, portid)

    def register(self) -> None:
        """Ask for notifications and wait for the ack. Raises `OSError` if the module refuses."""
        self._ask(wire.IMP2_U_PID)

    def unregister(self) -> None:
        """Stop the notifications; those that are still queued are received and dropped."""
        self._ask(wire.IMP2_CLOSE)

    def receive(self, deadline_s: float = DEADLINE_S) -> Notification | None:
        """The next notification, or None when none came within ``deadline_s`` seconds."""
        give_up = time.monotonic() + deadline_s
        left = deadline_s
        while left > 0:
            self.set_deadline(left)
            try:
                message = self._receive()
            except TimeoutError:
                return None
            if message.type == wire.IMP2_K_MSG:
                source, destination = wire.ICMP.unpack_from(message.payload)
                return Notification(socket.inet_ntoa(source), socket.inet_ntoa(destination))
            left = give_up - time.monotonic()
        return None

    def _ask(self, type_: int) -> None:
        self.set_deadline(DEADLINE_S)
        seq = self.send_message(type_, flags=NLM_F_REQUEST | NLM_F_ACK)
        while (reply := self._receive()).seq != seq or reply.type == wire.IMP2_K_MSG:
            pass
        if reply.error:
            raise OSError(reply.error, "the module refused the listener")


class Pinger:
    """Sends ICMP echo requests over loopback; needs CAP_NET_RAW."""

    def __init__(self, identifier: int, address: str = "127.0.0.1") -> None:
        self._identifier = identifier & 0xFFFF
        self._address = (address, 0)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        # A raw socket receives every ICMP packet of the machine; this one reads none of them.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)

    def ping(self, number: int, payload: bytes = b"") -> None:
        """Send one echo request with this sequence number; does not wait for the reply."""
        number &= 0xFFFF
        head = _ICMP_HEADER.pack(ECHO_REQUEST, 0, 0, self._identifier, number)
        sum_ = checksum(head + payload)
        head = _ICMP_HEADER.pack(ECHO_REQUEST, 0, sum_, self._identifier, number)
        self._socket.sendto(head + payload, self._address)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of a packet whose own checksum field is zero."""
    words = struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1])
    total: int = sum(words) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
