# SPDX-License-Identifier: GPL-2.0-or-later
"""What other tools told is counted in their own words."""

from __future__ import annotations

import pytest

from bench.tools import TOOLS

SAID = {
    "ftrace kprobe events": (
        "  netlink_unicast_entry                                    11               0\n"
        "  netlink_unicast_return                                    7               4\n",
        18,
    ),
    "bpftrace, histogram": (
        "Attaching 7 probes...\nready\n\n@ns:\n"
        "[2K, 4K)              12 |@@@@@@@@@@@@@@@@@@@@                                |\n"
        "[4K, 8K)               5 |@@@@                                                |\n",
        17,
    ),
    "bpftrace, line per event": (
        "Attaching 7 probes...\nready\nentry 200 15\nreturn 200 17\nLost 5 events\n",
        2,
    ),
    "BCC's funclatency": ("\navg = 1450 nsecs, total: 2900 nsecs, count: 2\n\nDetaching...\n", 2),
    "perf trace": (
        "     0.000 ( 0.004 ms): sendto(fd: 3, buff: 0x55, len: 164)                 = 164\n"
        "     0.004 (         ): client/200 recvfrom(fd: 3, ubuf: 0x55, size: 4096) ...\n"
        "     0.004 ( 0.031 ms): client/200  ... [continued]: recvfrom())            = 156\n"
        "     0.040 ( 0.002 ms): getsockopt(fd: 4, optname: 10129, optval: 0x55)     = 0\n"
        "LOST 7 events!\n",
        3,
    ),
    "strace": (
        'sendto(3, [{nlmsg_len=164}, "x"], 164, 0, NULL, 0) = 164\n'
        'setsockopt(3, SOL_IP, 0x2791 /* IP_??? */, "x", 148) = 0\n'
        "+++ exited with 0 +++\n",
        2,
    ),
}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_what_a_tool_told_is_counted(tool) -> None:
    said, count = SAID[tool.name]
    assert tool.count(said) == count
