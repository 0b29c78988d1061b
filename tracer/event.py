# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire format of the ring as numpy types: the same as ``bpf/event.h``.

A unit test compiles the header and compares every offset, size and constant. Below them stand
the names of the *observations*: the rows of ``run.events``, several of which are made from one
record (:mod:`tracer.correlate.observations`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# --------------------------------------------------------------------------
# Records of the ring

RECORD_BYTES = 128
#: The names of what a record tells of, indexed by ``enum tracer_point``. The probes count and sum
#: records by these.
RECORD_POINTS = (
    "task",
    "send",
    "recv",
    "setsockopt",
    "getsockopt",
    "message",
    "handled",
    "queued",
    "copy",
    "poll",
    "overrun",
)

#: ``enum tracer_kind``: the structure of a record.
SEND, RECV, OPT, EXTRA, TASK = 1, 2, 3, 4, 5
#: The points that records of each kind may have, as positions in `RECORD_POINTS`.
POINTS_OF_KIND = {SEND: (1,), RECV: (2,), OPT: (3, 4), EXTRA: (5, 6, 7, 8, 9, 10), TASK: (0,)}

#: The bits of ``struct tracer_send``.
S_BEGUN, S_DONE, S_QUEUED, S_MODULE = 0x001, 0x002, 0x004, 0x008
S_TRIED, S_DUMP, S_LAST, S_HEADLESS, S_SEVERAL = 0x010, 0x020, 0x040, 0x080, 0x100
#: The bits of ``struct tracer_recv``.
R_COPY, R_COPIED = 0x001, 0x002
#: The bits of ``struct tracer_opt``.
O_BEGUN, O_DONE, O_COPY, O_COPIED, O_MODULE, O_LEFT = 0x001, 0x002, 0x004, 0x008, 0x010, 0x020
#: The bits of ``struct tracer_extra``.
X_SENDING, X_RECEIVING, X_LAST, X_BYSTANDER, X_HEADLESS = 0x001, 0x002, 0x004, 0x008, 0x010
#: ``enum tracer_source``: who queued the message of a ``queued`` record.
BY_OTHER, BY_UNICAST, BY_BROADCAST, BY_DUMP = 0, 1, 2, 3

#: A record of any kind, as 64-bit words.
RECORD_DTYPE = np.dtype([("words", "<u8", (16,))])

#: The last two words of every record.
_TAIL = [("tid", "<u4"), ("tgid", "<u4"), ("cpu", "<u2"), ("kind", "u1"), ("point", "u1")]

#: ``struct tracer_send``.
SEND_RECORD = np.dtype(
    [
        *((name, "<u8") for name in ("enter_ns", "unicast_ns", "begin_ns", "done_ns", "queued_ns")),
        ("exit_ns", "<u8"),
        ("reply_skb", "<u8"),
        ("token", "<u8"),
        ("portid", "<u4"),
        ("seq", "<u4"),
        ("netns", "<u4"),
        ("size", "<u4"),
        ("ret", "<i4"),
        ("error", "<i4"),
        ("buffer", "<u4"),
        ("dst", "<u4"),
        ("reply_size", "<u4"),
        ("reply_error", "<i4"),
        ("type", "<u2"),
        ("flags", "<u2"),
        ("reply_type", "<u2"),
        ("reply_flags", "<u2"),
        *_TAIL,
        ("proto", "u1"),
        ("channel", "u1"),
        ("bits", "<u2"),
    ]
)

#: ``struct tracer_recv``.
RECV_RECORD = np.dtype(
    [
        *((name, "<u8") for name in ("enter_ns", "copy_ns", "copied_ns", "exit_ns", "skb")),
        ("portid", "<u4"),
        ("netns", "<u4"),
        ("size", "<u4"),
        ("ret", "<i4"),
        ("flags", "<u4"),
        ("reserved0", "<u4"),
        ("reserved1", "<u8", (6,)),
        *_TAIL,
        ("proto", "u1"),
        ("reserved2", "u1"),
        ("bits", "<u2"),
    ]
)

#: ``struct tracer_opt``.
OPT_RECORD = np.dtype(
    [
        *((name, "<u8") for name in ("enter_ns", "nf_ns", "begin_ns", "done_ns", "copy_ns")),
        *((name, "<u8") for name in ("copied_ns", "left_ns", "exit_ns", "token", "sock")),
        ("netns", "<u4"),
        ("size", "<u4"),
        ("ret", "<i4"),
        ("error", "<i4"),
        ("optname", "<u4"),
        ("pf", "<u4"),
        ("copied", "<u4"),
        ("reserved0", "<u4"),
        *_TAIL,
        ("reserved1", "u1"),
        ("channel", "u1"),
        ("bits", "<u2"),
    ]
)

#: ``struct tracer_extra``.
EXTRA_RECORD = np.dtype(
    [
        *((name, "<u8") for name in ("start_ns", "end_ns", "skb")),
        ("portid", "<u4"),
        ("seq", "<u4"),
        ("netns", "<u4"),
        ("size", "<u4"),
        ("ret", "<i4"),
        ("about_seq", "<u4"),
        ("type", "<u2"),
        ("flags", "<u2"),
        ("about_type", "<u2"),
        ("source", "<u2"),
        ("reserved0", "<u8"),
        ("reserved1", "<u8", (6,)),
        *_TAIL,
        ("proto", "u1"),
        ("channel", "u1"),
        ("bits", "<u2"),
    ]
)

#: ``struct tracer_task``.
TASK_RECORD = np.dtype(
    [
        ("start_ns", "<u8"),
        ("comm", "S16"),
        ("netns", "<u4"),
        ("ppid", "<u4"),
        ("reserved0", "<u8", (4,)),
        ("reserved1", "<u8", (6,)),
        *_TAIL,
        ("reserved2", "u1"),
        ("reserved3", "u1"),
        ("bits", "<u2"),
    ]
)

#: The layout of each kind.
LAYOUTS = {
    SEND: SEND_RECORD, RECV: RECV_RECORD, OPT: OPT_RECORD, EXTRA: EXTRA_RECORD, TASK: TASK_RECORD,
}  # fmt: skip

#: How many of a record's first words its checksum covers, besides the last two.
WORDS = {SEND: 14, RECV: 8, OPT: 14, EXTRA: 8, TASK: 4}
SUM_SEED = 0xCBF29CE484222325
SUM_FACTOR = 0x100000001B3
SUM_MIX = 0xFF51_AFD7_ED55_8CCD

Words = npt.NDArray[np.uint64]


def words_of(records: npt.NDArray[Any]) -> Words:
    """The records as an array of 16 words each, without a copy if they lie in one piece.

    ``records`` is an array of `RECORD_DTYPE`, of one of the layouts, or of such words already.
    Raises ``ValueError`` for anything else.
    """
    if records.dtype == np.dtype("<u8") and records.ndim == 2 and records.shape[1] == 16:
        return records
    if records.dtype.itemsize != RECORD_BYTES or records.dtype.names is None or records.ndim != 1:
        raise ValueError(f"records of {records.dtype}, expected {RECORD_DTYPE}")
    return np.ascontiguousarray(records).view("<u8").reshape(-1, 16)


def checksums(records: npt.NDArray[Any]) -> Words:
    """The checksum of each record as ``bpf/event.h`` defines it, which the probes sum as well.

    The records (see `words_of`) must be of known kinds; those of another kind get 0.
    """
    words = words_of(records)
    kinds = kinds_of(words)
    sums = np.zeros(len(words), np.uint64)
    for kind, count in WORDS.items():
        here = np.flatnonzero(kinds == kind)
        if here.size:
            chosen = words if here.size == len(words) else words[here]
            sums[here] = chained([chosen[:, at] for at in (*range(count), 14, 15)])
    return sums


def chained(columns: Sequence[npt.NDArray[Any]]) -> Words:
    """The hash of each row of the columns, which are unsigned; a row's values go into it in turn.

    A value that is narrower than 64 bits counts as a word of its own.
    """
    total = np.full(columns[0].size, SUM_SEED, np.uint64)
    factor = np.uint64(SUM_FACTOR)
    for column in columns:
        np.bitwise_xor(total, column, out=total)
        np.multiply(total, factor, out=total)
    shift = np.uint64(33)
    total = (total ^ (total >> shift)) * np.uint64(SUM_MIX)
    return total ^ (total >> shift)


def kinds_of(words: Words) -> npt.NDArray[np.uint8]:
    """The field ``kind`` of each record."""
    return (words[:, 15] >> np.uint64(16)).astype(np.uint8)


# --------------------------------------------------------------------------
# Observations: the rows of run.events

TO_KERNEL, TO_USER, TO_PEER = 1, 2, 3
KIND_SPAN, KIND_MESSAGE = 1, 2

#: The points of observations. One that is a single kernel function mostly has its name.
POINTS = (
    "task",
    "netlink_sendmsg",
    "netlink_recvmsg",
    "setsockopt",
    "getsockopt",
    "poll",
    "netlink_unicast",
    "netlink_broadcast",
    "__netlink_sendskb",
    "netlink_rcv_skb",
    "netlink_dump",
    "netlink_overrun",
    "nf_setsockopt",
    "nf_getsockopt",
    "skb_copy_datagram_iter",
    "copy_to_user",
    "msgchan_handler",
    "msgchan_copy",
)
CODE = {name: code for code, name in enumerate(POINTS)}

SENDS = ("netlink_sendmsg",)
RECEIVES = ("netlink_recvmsg",)


@dataclass
class NotUnderstood:
    """Records that were left out because their size, kind or point is unknown.

    ``count`` says how many, ``first`` describes the first one.
    """

    count: int = 0
    first: str = ""

    def add(self, count: int, first: str) -> None:
        """Count more of them; ``first`` describes the first of these."""
        self.first = self.first or first
        self.count += count
