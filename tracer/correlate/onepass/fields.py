# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields of the tables that the pass keeps. NONE (-1) stands for "not there"."""

from __future__ import annotations

from collections.abc import MutableSequence

from tracer.recording.format import SCHEMAS

#: A flat sequence of whole numbers: a list, or an array where the code is compiled.
Numbers = MutableSequence[int]

NONE = -1
FAR = 2**62

#: How many records the pass waits before it believes that nothing older will come: what tells of
#: a message's begin may leave the ring later than what tells of its end.
PATIENCE = 65_536
#: How many messages that had the same sk_buff are looked at, and how many requests of a socket.
HISTORY, REQUESTS, FURTHER = 8, 1_024, 16
#: How many times as long a request is kept that was not answered at all.
ROUNDS = 16

# The channels, and what became of an answer; PENDING: the record of its send call is to come.
NETLINK, SET, GET, NOTIFY, PEER, USER = range(6)
OPEN, PENDING, MATCHED, NOTICE, COUNTED = range(5)
NO_MATCH, NESTED, HEADER, ID, ORDER = range(5)
OK, ERROR, PARTIAL, UNANSWERED, UNMATCHED_USER, UNMATCHED_KERNEL, LOST = range(7)

# The columns of the records, in the order of `tracer.recording.format.SCHEMAS`.
(
    SE_ORDER, SE_ENTER, SE_UNICAST, SE_BEGIN, SE_DONE, SE_QUEUED, SE_EXIT, SE_SKB, SE_TOKEN,
    SE_PORT, SE_SEQ, SE_NETNS, SE_SIZE, SE_RET, SE_ERROR, SE_BUFFER, SE_DST, SE_RSIZE, SE_RERROR,
    SE_TYPE, SE_FLAGS, SE_RTYPE, SE_RFLAGS, SE_TID, SE_TGID, SE_CPU, SE_PROTO, SE_CHANNEL, SE_BITS,
    SE_WIDTH,
) = range(30)  # fmt: skip
(
    RE_ORDER, RE_ENTER, RE_COPY, RE_COPIED, RE_EXIT, RE_SKB, RE_PORT, RE_NETNS, RE_SIZE, RE_RET,
    RE_FLAGS, RE_TID, RE_TGID, RE_CPU, RE_PROTO, RE_BITS, RE_WIDTH,
) = range(17)  # fmt: skip
(
    OP_ORDER, OP_ENTER, OP_NF, OP_BEGIN, OP_DONE, OP_COPY, OP_COPIED, OP_LEFT, OP_EXIT, OP_TOKEN,
    OP_SOCK, OP_NETNS, OP_SIZE, OP_RET, OP_ERROR, OP_OPTNAME, OP_PF, OP_BYTES, OP_TID, OP_TGID,
    OP_CPU, OP_POINT, OP_CHANNEL, OP_BITS, OP_WIDTH,
) = range(25)  # fmt: skip
(
    EX_ORDER, EX_START, EX_END, EX_SKB, EX_TOKEN, EX_PORT, EX_SEQ, EX_NETNS, EX_SIZE, EX_RET,
    EX_ASEQ, EX_TYPE, EX_FLAGS, EX_ATYPE, EX_SOURCE, EX_TID, EX_TGID, EX_CPU, EX_POINT,
    EX_PROTO, EX_CHANNEL, EX_BITS, EX_WIDTH,
) = range(23)  # fmt: skip
P_SET, P_GET, P_MESSAGE, P_HANDLED, P_QUEUED, P_COPY, P_POLL, P_OVERRUN = range(3, 11)
assert [len(SCHEMAS[k]) for k in ("send_calls", "recv_calls", "opt_calls", "extras")] == [
    SE_WIDTH, RE_WIDTH, OP_WIDTH, EX_WIDTH,
]  # fmt: skip

# An answer: a message that was queued at a traced socket, and how it was read.
(
    A_SKB, A_SOCK, A_PORT, A_PROTO, A_NETNS, A_SEQ, A_TYPE, A_SIZE, A_RET, A_ATYPE, A_SOURCE,
    A_SINCE, A_QUEUED, A_LAST, A_HEADLESS, A_TID, A_TGID,
    A_COPY, A_COPIED, A_ENTER, A_EXIT, A_RTID, A_RTGID, A_LOG, A_LOGGED, A_DECODED, A_BYTES,
    A_WAITED, A_PEEKER, A_STATE, A_OWNER, A_ROW, A_MATCH, A_NEXT, A_CHAIN, A_DUE, A_LATER,
    A_QUEUEING, A_PEEKED, A_WIDTH,
) = range(40)  # fmt: skip
# A read whose message is not known yet.
(
    D_SKB, D_SOCK, D_COPY, D_COPIED, D_ENTER, D_EXIT, D_TID, D_TGID, D_LOG, D_BYTES, D_PEEK,
    D_POLL, D_POLLED, D_LIVE, D_CHAIN, D_DUE, D_LATER, D_WIDTH,
) = range(18)  # fmt: skip
# A request (or message to a peer) whose row is not done.
(
    R_ROW, R_SOCK, R_SEQ, R_TYPE, R_FLAGS, R_BEGIN, R_ENTER, R_UNICAST, R_ARRIVAL, R_DONE, R_EXIT,
    R_RET, R_HERROR, R_MODULE, R_HANDLED, R_TRIED, R_DUMP, R_LOST, R_CUT, R_PEER, R_ERRNO, R_BEGUN,
    R_SENT, R_MINE, R_FIRST, R_MATE, R_BEFORE, R_AFTER, R_DUE, R_LATER, R_QUEUEING, R_AGE, R_OVER,
    R_TOLD, R_WIDTH,
) = range(35)  # fmt: skip
#: R_PEER of a further message of a buffer that was sent to a peer, which is queued as a whole.
UNSEEN = 2
# An extra record of a call whose own record is to come.
(
    M_POINT, M_START, M_END, M_TOKEN, M_SOCK, M_PORT, M_PROTO, M_NETNS, M_SEQ, M_TYPE, M_FLAGS,
    M_SIZE, M_RET, M_TID, M_TGID, M_NEXT, M_WIDTH,
) = range(17)  # fmt: skip
# A thread: its part of the log and of the tasks, extras and answers of the call that it is in.
T_LOG, T_LOG_END, T_AT, T_TASK, T_TASK_END, T_MSG, T_MSG_LAST, T_ANS, T_ANS_LAST, T_WIDTH = range(
    10
)
# A socket: its last request, and when its first known message was read.
K_TAIL, K_KNOWN, K_WIDTH = range(3)
# The last poll of a thread on a socket.
W_START, W_END, W_WIDTH = range(3)

# Single numbers. Of each pool the first free entry; of each list of those that wait the first and
# last entry; of each table its place, how many places it has, and how many are in use (see
# `tracer.correlate.onepass.tables`); where other things lie; counts.
(
    N_TOP, N_ANS, N_RD, N_REQ, N_MSG,
    N_ANS_DUE, _, N_RD_DUE, _, N_REQ_DUE, _,
    N_THREADS, _, _, N_SOCKETS, _, _, N_POLLS, _, _, N_KINDS, _, _, N_LOGGING, _, _,
    N_SKB, N_LOG_TIDS, N_LOG_BOUNDS, N_TASK_TIDS, N_TASK_STARTS, N_PIECES_AT, N_UNLOGGED_AT,
    N_ROWS, N_PIECES, N_UNLOGGED, N_NOW, N_BUFFERS, N_PATIENCE, N_STAGES, N_CALLS, N_FILLED,
    N_CONSUMED, N_KNOWN, N_EARLY, N_QUEUED, N_DISORDERED, N_DISAGREE, N_LAST, N_BAD, N_KEPT,
    N_LIVE, N_ASTRAY, N_WIDTH,
) = range(54)  # fmt: skip
TABLES = (N_THREADS, N_SOCKETS, N_POLLS, N_KINDS, N_LOGGING)
PLACE = 4

# The columns of a row, the stages in the order of `tracer.correlate.stages.STAGES`. Each is a
# single number that tells where the column begins.
(
    C_START, C_TOTAL, C_ENCODE, C_SEND_ENTRY, C_ENTRY, C_DELIVER, C_HANDLER, C_REPLY, C_QUEUE,
    C_WAKE, C_COPY, C_RECV_EXIT, C_EXIT, C_SEND_EXIT, C_DECODE, C_UNEXPLAINED, C_SEND_RETURN,
    C_FIRST_REPLY, C_TGID, C_TID, C_NETNS, C_PROTO, C_PORT, C_SEQ, C_TYPE, C_OPTNAME, C_LEVEL,
    C_TOKEN, C_REQUEST, C_REPLIED, C_COPIED, C_REPLIES, C_ERRNO, C_BUFFER, C_PACK, C_END,
) = range(N_WIDTH, N_WIDTH + 36)  # fmt: skip
# The column C_PACK: small numbers, by the place of their lowest bit.
PACK_STATUS, PACK_MATCH, PACK_LOGGED, PACK_SENT, PACK_KIND, PACK_COMM = 4, 8, 12, 13, 16, 40
#: The most numbers that a record, or a waiting entry, brings: an entry of each kind.
ROOM = A_WIDTH + D_WIDTH + R_WIDTH + M_WIDTH + 2 * T_WIDTH + 2 * K_WIDTH + W_WIDTH + 2
