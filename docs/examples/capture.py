# SPDX-License-Identifier: GPL-2.0-or-later
"""Record a block of this program: ``python capture.py DIR``, as root where msgchan is loaded."""

from __future__ import annotations

import sys

import tracer
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.wire import Op

with tracer.capture(sys.argv[1]) as run, MsgchanSocket() as socket:
    for token in range(1, 101):
        socket.request(Op.ECHO, b"x" * 64, token=token, reply_size=64)

print(len(run.exchanges), "exchanges, trusted:", run.trusted)
