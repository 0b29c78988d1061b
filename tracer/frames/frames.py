# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording as pandas frames: what was observed, what was logged, and what became of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracer.correlate.columns import NONE, latest, names, take
from tracer.correlate.exchanges import Correlation, correlate
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
        """``meta.json``: machine, plan, command, witnesses."""
        return self._recording.meta

    @property
    def damage(self) -> list[str]:
        """What could not be read, a line each; empty for a complete recording."""
        return self._recording.damage

    @property
    def sends(self) -> pd.DataFrame:
        """The user side's log: one row per send, receive or socket-option call of the program.

        begin_ns, end_ns
            When the program began and ended it, ns.
        intended_ns
            When it was to begin (``tracer drive --rate``), ns; 0: not scheduled.
        tid, tgid
            The thread, and its process.
        portid, seq, proto
            Of netlink: port id, sequence number, protocol.
        size
            Bytes sent or received.
        token
            The msgchan request's token, 0 without one.
        type
            ``nlmsg_type``, or the socket option.
        errno
            What the call failed with, 0: nothing.
        channel
            0 netlink, 1 setsockopt, 2 getsockopt, 3 notify.
        kind
            0 send, 1 receive, 2 call.
        """
        return self._recording.sends

    @property
    def tasks(self) -> pd.DataFrame:
        """The traced threads and their names, a row for each time one was read.

        start_ns
            When it was read, ns.
        tid, tgid, ppid
            The thread, its process, its parent process.
        netns
            The network namespace (inode number).
        comm
            The thread's name.
        """
        return self._recording.tasks

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row per observation of the kernel, in the order of the ring.

        start_ns, end_ns
            When the call was entered and left, ns.
        point
            Where: the kernel's own name.
        kind
            1 a span, 2 a further message in the same buffer.
        depth
            How many observed calls enclose it.
        cpu, tid, tgid, comm, netns
            Where it ran and for whom. ``comm`` is the thread's name, ``netns`` the network
            namespace (inode number).
        sock, skb
            The socket and the message buffer as small ids, -1: none.
        token
            The msgchan request's token, 0 without one.
        proto, portid, seq
            Of netlink: protocol, port id, sequence number. At ``msgchan_handler`` proto is
            the module's channel.
        type
            ``nlmsg_type``, or the socket option.
        flags
            ``nlmsg_flags``.
        size
            Bytes.
        ret
            What the call returned.
        direction
            Of ``netlink_unicast``: 1 to the kernel, 2 to user space, 3 to a peer.
        """
        events = self._recording.events
        return events.assign(comm=self._comm(events))

    @cached_property
    def _correlation(self) -> Correlation:
        recording = self._recording
        return correlate(recording.events, recording.sends, recording.tasks, recording.meta)

    @property
    def exchanges(self) -> pd.DataFrame:
        """One row per request and its reply, per socket-option call, or per unasked message.

        Sorted by ``start_ns``. NA: the exchange has no such thing, or the plan cannot see it.

        channel
            ``netlink`` (request to the kernel), ``setsockopt``, ``getsockopt``, ``notify``
            (unasked message, one row per receiver), ``peer`` (process to process).
        name
            The type, to read: ``msgchan echo``, ``route 18``, ``option 64``.
        tgid, tid, comm, netns
            Who: process, thread, its name, network namespace. Of ``notify`` the receiver.
        proto, portid, seq, msg_type
            What, of netlink: protocol, port id, sequence number, ``nlmsg_type``.
        optname
            What, of socket options: the option.
        token
            The msgchan request's token, 0 without one.
        request_bytes, reply_bytes, copied_bytes
            How large, in bytes; a netlink reply is padded to 4 bytes.
        replies
            Messages that answered.
        errno
            What the answer, the handler or the call reported; 0: nothing.
        status
            ``ok``, ``error``, ``partial`` (answered, never completed), ``unanswered``,
            ``unmatched_user`` (logged, not seen), ``unmatched_kernel`` (seen, not logged by
            a process that keeps a log).
        match
            ``exact``: log entry found and tokens agree; ``order``: found, tokens disagree;
            ``none``: no log.
        logged
            Whether an entry of the user's log belongs to it.
        start_ns
            When it began, ns.
        total_ns
            How long it took, ns: the sum of its stages and ``unexplained_ns``.
        encode_ns, send_entry_ns, entry_ns, deliver_ns, handler_ns, reply_ns, queue_ns, wake_ns, \
copy_ns, recv_exit_ns, exit_ns, send_exit_ns, decode_ns
            The stages, ns; see :data:`tracer.correlate.stages.STAGES`.
        unexplained_ns
            What no stage explains, ns; never negative, 0 on msgchan under a full plan.
        send_return_ns
            Netlink: first reply queued → return of the send call, ns; overlaps ``queue``.
        first_reply_ns
            Start → return of the call that read the first reply, ns.
        """
        return self._correlation.exchanges

    @property
    def stages(self) -> pd.DataFrame:
        """The same as ``exchanges``, long: one row for each time that an exchange was in a stage.

        exchange
            Row of ``exchanges``.
        stage
            Its name; see :data:`tracer.correlate.stages.STAGES`.
        occurrence
            The running number among the exchange's rows of this stage, from 0.
        start_ns, dur_ns
            When it began and how long it took, ns.
        """
        return self._correlation.stages

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """The balance: one row for each two counts of the same thing.

        line
            What was counted.
        witness, count
            Who counted it, and how many; NA: unknown, for want of a witness.
        against, other
            Who else did, and how many.
        difference
            ``count - other``; NA with ``count``.
        ok
            Whether that is as it should be.
        note
            What else there is to know, such as traffic of processes that are not traced.
        """
        recording = self._recording
        return balance(
            recording.meta,
            recording.events,
            recording.sends,
            recording.tasks,
            self._correlation,
            recording.damage,
        )

    @property
    def trusted(self) -> bool:
        """Whether every line of the ledger balances."""
        return bool(self.ledger["ok"].all())

    def _comm(self, events: pd.DataFrame) -> pd.Categorical:
        tasks = self._recording.tasks
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
