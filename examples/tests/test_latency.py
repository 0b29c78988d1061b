# SPDX-License-Identifier: GPL-2.0-or-later
"""How long messages take between this program and the kernel, against the committed baselines."""

from __future__ import annotations

from tracer.clients.netlink import MsgchanSocket
from tracer.clients.sockopt import SockoptClient
from tracer.clients.wire import Op
from tracer.pytest_plugin.fixture import Latency

COUNT = 307
PAYLOAD = b"x" * 64


def test_netlink_echo(latency: Latency) -> None:
    with latency.trace() as run, MsgchanSocket() as socket:
        for token in range(1, COUNT + 1):
            socket.request(Op.ECHO, PAYLOAD, token=token, reply_size=len(PAYLOAD))
    stages = ["handler", "reply", "copy"]
    latency.check(run, baseline="netlink-echo", type="msgchan echo", stage=stages)


def test_socket_options(latency: Latency) -> None:
    with latency.trace() as run, SockoptClient() as client:
        for token in range(1, COUNT + 1):
            client.set(Op.ECHO, PAYLOAD, token=token)
            client.get(Op.SOURCE, token=token, reply_size=len(PAYLOAD))
    latency.check(run, baseline="set", type="setsockopt", stage="handler")
    latency.check(run, baseline="get", type="getsockopt", stage=["handler", "copy"])
