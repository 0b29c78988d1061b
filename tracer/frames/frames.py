# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording as pandas frames: observations, log, the exchanges made of them, and the ledger."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, latest, names, take
from tracer.correlate.exchanges import Correlation, correlate
from tracer.correlate.observations import observations
from tracer.correlate.onepass.run import CALLS
from tracer.frames.ledger import balance
from tracer.recording import Recording


class Frames:
    """The frames of one recording, computed when they are first asked for."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def path(self) -> Path:
        """The recording's directory."""
        return self._recording.path

    @property
    def meta(self) -> dict[str, Any]:
        """The content of ``meta.json``: machine, attach plan, command, witnesses."""
        return self._recording.meta

    @property
    def damage(self) -> list[str]:
        """One line for each part that is missing or cannot be read; empty for a whole recording."""
        return self._recording.damage

    @property
    def sends(self) -> pd.DataFrame:
        """The user side's log: one row per send, receive or socket-option call of the program.

        begin_ns, end_ns
            When the program began and ended the send, receive or call, ns.
        intended_ns
            When the send was scheduled to begin (``tracer drive --rate``), ns; 0 if it was not.
        tid, tgid
            Thread id and process id.
        portid, seq, proto
            Netlink port id, sequence number and protocol; 0 for socket options.
        size
            Bytes sent or received.
        token
            The token of the msgchan request, 0 if there is none.
        type
            ``nlmsg_type``, or the number of the socket option.
        errno
            The error of the call, or the one that the received message carries; 0: none.
        channel
            0 netlink, 1 setsockopt, 2 getsockopt, 3 notify.
        kind
            0 send, 1 receive, 2 call.
        """
        return self._recording.sends

    @property
    def tasks(self) -> pd.DataFrame:
        """The traced threads and their names, one row for each time that a name was read.

        That is when a traced thread starts another one, when it executes a program, and for
        threads that ran already, when they were traced.

        start_ns
            When the name was read, ns.
        tid, tgid, ppid
            Thread id, process id, and the parent's process id.
        netns
            The network namespace (inode number).
        comm
            The thread's name.
        """
        return self._named.drop(columns="order")

    @cached_property
    def _named(self) -> pd.DataFrame:
        """The records of tasks, and before them the threads that ran already (``meta.json``)."""
        records, told = self._recording.tasks, self.meta.get("running")
        if not told:
            return records
        ran = pd.DataFrame(told).assign(order=-1)
        columns = {
            name: np.concatenate([ran[name].to_numpy(), records[name].to_numpy()])
            for name in records.columns
        }
        return pd.DataFrame(columns).astype(records.dtypes.to_dict())

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row per observation in the kernel.

        The probes write one record for each system call; its observations follow each other here,
        from the outside to the inside. The records are in the order in which they left the
        ring, which is about that in which the calls ended.

        start_ns, end_ns
            When the call was entered and when it returned, ns; equal for an instant. A
            ``netlink_unicast`` that sends a request ends here with its send call, and one that
            sends an answer with the answer's queueing, because their own ends are not observed.
        point
            What was observed: mostly the kernel function's own name.
        kind
            1: a call or an instant; 2: a second or later message in a buffer that was sent.
        depth
            How many observed calls enclose it. From 8 on it was an interrupt's doing, while
            the thread was inside a call that has nothing to do with it.
        cpu, tid, tgid, comm, netns
            The CPU, the thread that was running, its process, its name, and the network
            namespace (inode number).
        sock, skb
            The socket and the message buffer (``sk_buff``) as small ids, -1: none.
        token
            The token of the msgchan request, 0 if there is none.
        proto, portid, seq
            Netlink protocol, port id and sequence number. At ``msgchan_handler``, ``proto`` is
            the number of the module's channel.
        type
            ``nlmsg_type``, or the number of the socket option.
        flags
            ``nlmsg_flags``; of a receive call its ``MSG_*`` flags; of ``netlink_dump`` 1 in the
            last part.
        size
            Bytes.
        ret
            What the call returned, 0 where that is not observed; at ``__netlink_sendskb`` the
            error in the message, or 0.
        direction
            Of ``netlink_unicast``: 1 to the kernel, 2 to user space, 3 to another process.
        """
        kept = self._recording
        seen = observations(kept.send_calls, kept.recv_calls, kept.opt_calls, kept.extras)
        return seen.assign(comm=self._comm(seen))

    @cached_property
    def _correlation(self) -> Correlation:
        kept = self._recording
        records = {kind: getattr(kept, kind) for kind in CALLS}
        return correlate(records, kept.sends, self._named, kept.meta)

    @property
    def exchanges(self) -> pd.DataFrame:
        """One row per exchange: a request and its replies, a socket-option call, or a notification.

        Sorted by ``start_ns``. NA means that the exchange has no such value, or that the attach
        plan cannot observe it.
        Long because this is the one place where each column is explained.

        channel
            ``netlink`` (a request to the kernel), ``setsockopt``, ``getsockopt``, ``notify``
            (a message that answers no request, one row per receiver), ``peer`` (a message from
            one process to another).
        name
            The type of the exchange in words: ``msgchan echo``, ``route 18``, ``option 64``.
        tgid, tid, comm, netns
            The process, the thread, its name and its network namespace; of ``notify`` those of
            the receiver.
        proto, portid, seq, msg_type
            Netlink protocol, port id, sequence number and ``nlmsg_type``.
        optname, level
            The number of the socket option, and its level: 0 (SOL_IP) or 41 (SOL_IPV6).
        token
            The token of the msgchan request, 0 if there is none.
        request_bytes, reply_bytes, copied_bytes
            Bytes of the request, of its replies, and copied to user space. A netlink reply is
            padded to a multiple of 4 bytes. A copy by ``MSG_PEEK`` does not count, and a
            getsockopt that failed has no reply.
        replies
            How many datagrams answered the request. The parts of a dump are datagrams of many
            messages each; how many is not recorded.
        errno
            The error that an answer carried, else that of the module's handler, else that of the
            system call; 0: none.
        status
            How the exchange ended.
            ``ok``: complete. A request is complete when what it asked for has been read: the last
            part of a dump, the ack with NLM_F_ACK, otherwise the first reply. One that the kernel
            does not answer, such as a sink, is complete when it has been handed over.
            ``error``: it ended with the error in ``errno``.
            ``partial``: some answers were read, but not the one that completes it.
            ``unanswered``: no answer was read.
            ``unmatched_user``: the program logged it, but the probes did not see it.
            ``unmatched_kernel``: the probes saw it, but the program, which keeps a log, did not
            log it. That is so of sockets and options that the process's log tells of; it may use
            others without a log.
            ``lost``: an answer was dropped, because the receive queue was full.
            A dump that was under way when recording began is ``partial``.
        match
            How its first answer was found; NA without one, and for notifications and socket
            options. ``nested``: it was queued inside the send call, and has the request's sequence
            number. ``header``: several messages of the buffer have that number, and it is an
            NLMSG_ERROR with the type of one of them. ``order``: their order tells. ``id``: it was
            queued elsewhere, and this is the socket's last request with its number.
        logged
            Whether an entry of the user's log belongs to it.
        buffer
            Netlink: a number that the requests have in common that were sent in one buffer. Where
            nothing tells when one of them was handled, its ``handler`` is the buffer's time. Sums
            of time, such as a stage's share, count only the longest exchange of a buffer.
        start_ns
            When it began, ns: in the program if it keeps a log, else in the kernel.
        total_ns
            How long it took, ns: the sum of its stages and ``unexplained_ns``.
        encode_ns, send_entry_ns, entry_ns, deliver_ns, handler_ns, reply_ns, queue_ns, wake_ns, \
copy_ns, recv_exit_ns, exit_ns, send_exit_ns, decode_ns
            The stages, ns; see :data:`tracer.correlate.stages.STAGES`.
        unexplained_ns
            The time that is in no stage, because its bounds were not observed, ns. Never
            negative; normally 0 on msgchan's channels if the plan observes every point.
        send_return_ns
            Netlink: from queueing the first reply to the return of the send call, ns. This is no
            stage, because it overlaps ``queue``.
        first_reply_ns
            Netlink: from the start to the return of the call that read the first reply, ns.
        """
        return self._correlation.exchanges

    @property
    def stages(self) -> pd.DataFrame:
        """The stages of ``exchanges`` in long form: one row for each time an exchange was in one.

        exchange
            The row in ``exchanges``.
        stage
            The name of the stage; see :data:`tracer.correlate.stages.STAGES`.
        occurrence
            0 for the first time that the exchange was in this stage, 1 for the second, ….
        start_ns, dur_ns
            When the exchange entered the stage, and for how long, ns.
        """
        return self._correlation.stages

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """The ledger: each row compares two independent counts of the same thing.

        For example: how many requests the module counted, and how many the probes recorded.

        line
            What was counted.
        witness, count
            Who counted it, and the count; NA if the recording lacks that witness.
        against, other
            The second witness, and its count. ``none expected``: any count is a loss.
            ``declared``, ``known losses``: the line only informs.
        difference
            ``count - other``; NA if ``count`` is.
        ok
            Whether the two counts agree, as far as they must.
        note
            The reason for a difference, or other facts, such as traffic of processes that are
            not traced.
        """
        return balance(self._recording, self._correlation)

    @property
    def trusted(self) -> bool:
        """Whether every line of the ledger balances."""
        return bool(self.ledger["ok"].all())

    def _comm(self, events: pd.DataFrame) -> pd.Categorical:
        tasks = self._named
        known = tasks["tid"].to_numpy().astype(np.int64)
        found = latest(
            events["tid"].to_numpy().astype(np.int64),
            events["start_ns"].to_numpy(),
            known,
            tasks["start_ns"].to_numpy(),
        )
        row = take(np.arange(known.size), found)
        return names(
            np.append(tasks["comm"].to_numpy(object), "")[np.where(row == NONE, known.size, row)]
        )
