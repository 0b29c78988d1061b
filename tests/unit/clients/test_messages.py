# SPDX-License-Identifier: GPL-2.0-or-later
"""What pyroute2 reads of the module's messages."""

from __future__ import annotations

import pytest
from message_builder import reply

from tracer.clients.messages import MsgchanMarshal
from tracer.clients.wire import Op


@pytest.mark.parametrize("payload", [b"", b"abc", bytes(range(256))])
def test_pyroute2_reads_a_reply(payload: bytes) -> None:
    (message,) = MsgchanMarshal().parse(reply(Op.ECHO, 7, payload))
    assert message["payload"] == payload
    assert message["token"] == 7
    assert (message["handler_waited_ns"], message["reply_waited_ns"]) == (7, 9)
