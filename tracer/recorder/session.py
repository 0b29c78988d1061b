# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording while it is being made.

A session attaches the probes, moves what they and the user side's logs deliver to the writer,
and at the end collects the witnesses: the counts against which the ledger checks the records.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tracer.attach import doctor, leftovers
from tracer.attach.plan import Plan, make_plan
from tracer.attach.probes import Probes
from tracer.attach.sites import RELAY
from tracer.attach.sockets import bound_netlink_sockets, netns_of
from tracer.clients.sends import SPOOL_VARIABLE
from tracer.clients.sockopt import read_counters, read_ports
from tracer.clients.spool import Spool
from tracer.clients.spool_reader import SpoolReader
from tracer.errors import TracerError
from tracer.event import NotUnderstood
from tracer.processes import descendants, parent_of, running, thread_names
from tracer.recorder import machine
from tracer.recorder.decode import Decoder
from tracer.recording import SCHEMAS, RecordingWriter, empty_table, sends_table
from tracer.recording.witnesses import LogCount

#: Seconds between two segments; the records since the last one are lost if we are killed.
SEGMENT_SECONDS = 1.0
#: When tracing has ended, a CPU may still be writing a record: wait at most so many seconds.
REST_SECONDS = 1.0
DEFAULT_RING = 16 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How to record.

    ``ring`` is the ring's size in bytes; for ``attach`` and ``copy`` see
    :func:`tracer.attach.plan.make_plan`.
    """

    attach: str = "auto"
    copy: str = "auto"
    ring: int = DEFAULT_RING


def attach(options: Options, plan: Plan | None = None) -> Probes:
    """Compile, load and attach the probes, for one recording or for many.

    Takes seconds. Raises :class:`TracerError` when the machine cannot trace.
    """
    doctor.require()
    parameters = (machine.module() or {}).get("parameters", {})
    base = int(parameters.get("sockopt_base", 10128))
    return Probes(
        plan or make_plan(doctor.offer(), options.attach, options.copy),
        options.ring,
        (int(parameters.get("netlink_proto", 30)), int(parameters.get("icmp_proto", 31))),
        range(base, base + 2),
    )


class Session:
    """A recording in the directory ``path``, with attached probes; nothing is traced yet.

    ``command`` is the command line to note in ``meta.json``. A caller that records many
    times may pass ``probes`` (see :func:`attach`), which stay attached when the session
    ends; otherwise the session attaches and detaches its own. Raises
    :class:`TracerError` when the machine cannot trace, or the directory holds something.
    """

    def __init__(
        self,
        path: Path,
        command: Sequence[str],
        options: Options,
        probes: Probes | None = None,
    ) -> None:
        doctor.require()
        plan = probes.plan if probes else make_plan(doctor.offer(), options.attach, options.copy)
        self._writer = RecordingWriter(
            path,
            {
                **machine.describe(),
                "command": list(command),
                "plan": plan.as_rows(),
                "ring_bytes": probes.ring.size if probes else options.ring,
                "traced": [],
            },
        )
        leftovers.sweep(doctor.tracefs())
        self._spool = Spool()
        self._log = LogCount()
        self._decode = Decoder()
        self._traced: list[int] = []
        self._running: list[dict[str, Any]] = []
        self._failure: Exception | None = None
        self._stopped_ns = np.iinfo(np.int64).max
        self._flushed = time.monotonic()
        self._lent = probes is not None
        self._released = False
        try:
            self._probes = probes or attach(options, plan)
        except BaseException:
            self._writer.discard()
            self._spool.close()
            raise
        self._sends = SpoolReader(self._spool.path, self._probes.ran_as)
        self._plan = plan
        self._accounts = self._probes.accounts()
        self._losses = self._read_losses()
        self._before = self._read_module()

    @property
    def plan(self) -> Plan:
        """The attach plan in use."""
        return self._plan

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which a traced program knows where to log its sends."""
        return {SPOOL_VARIABLE: str(self._spool.path)}

    @property
    def ring_fill(self) -> float:
        """The share of the ring (0 to 1) that holds records not yet drained."""
        return self._probes.ring.pending / self._probes.ring.size

    def trace(self, pid: int, *, held: bool = False) -> None:
        """Trace a process, its bound netlink sockets, and what it starts from now on.

        ``held``: it is a command that was not released yet, so none of its threads can be inside
        an observed call.
        """
        for socket in bound_netlink_sockets(pid):
            self._probes.trace_socket(socket, pid)
        if self._plan.copy == RELAY:
            self._spool.note_relayed(pid)
        began_ns = time.monotonic_ns()
        self._probes.trace(pid, fresh=not held)
        self._traced.append(pid)
        if not held:
            self._note_names(pid, began_ns)

    def _note_names(self, pid: int, began_ns: int) -> None:
        """Note the names of the threads that ran already when ``pid`` was traced, at ``began_ns``.

        The probes tell only those of threads that start or call exec later.
        """
        with suppress(OSError):  # it has ended meanwhile
            about = {"start_ns": began_ns, "tgid": pid, "ppid": parent_of(pid)}
            about["netns"] = netns_of(pid)
            names = thread_names(pid)
            self._running += [{**about, "tid": tid, "comm": names[tid]} for tid in names]

    def trace_descendants(self, pid: int) -> None:
        """Trace the processes that ``pid`` had started before it was traced itself.

        Processes that it started later are entered by the fork probe, and the task records tell
        which ones those are. They are left out here: a second breakpoint on such a process
        would report its copies twice.
        """
        followed, seen = set[int](), {pid}
        while new := descendants(pid) - seen:
            followed.update(self.drain()["tgid"].to_pylist())
            for child in sorted(new - followed):
                self._trace_descendant(child)
            seen |= new

    def _trace_descendant(self, pid: int) -> None:
        try:
            self.trace(pid)
        except ProcessLookupError:
            return
        except TracerError:
            if not running(pid):
                return
            # The relay's list is full. That does not matter: it reports the descendants of the
            # processes in the list as well, and ``pid`` is one.
            if self._plan.copy != RELAY:
                raise
            self._traced.append(pid)

    @property
    def failed(self) -> bool:
        """Whether a failure has ended the recording early; :meth:`finish` will raise it."""
        return self._failure is not None

    def drain(self) -> pa.Table:
        """Move what the ring and the send logs hold to the writer; every second ends a segment.

        Returns the task records that were among it (the table ``tasks``). A failure, such as a
        full disk, ends the tracing but does not raise: the traced program must go on, what was
        recorded until then is kept, and :meth:`finish` raises the error.
        """
        if self._failure is None:
            try:
                return self._move()
            except Exception as failure:
                self._failure = failure
                with suppress(TracerError):
                    self._probes.stop_tracing()
                _log.error("recording stopped: %s", failure)
        return empty_table(SCHEMAS["tasks"])

    def _move(self) -> pa.Table:
        tables = self._decode(self._probes.ring.read())
        self._writer.append(**tables)
        self._keep(self._sends.read())
        if time.monotonic() - self._flushed >= SEGMENT_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()
        return tables["tasks"]

    def _keep(self, sends: np.ndarray[Any, Any]) -> None:
        # A program that goes on after the recording may log more; leave that out.
        sends = sends[sends["begin_ns"] <= self._stopped_ns]
        self._log.add(sends)
        self._writer.append(sends=sends_table(sends))

    def finish(self, *, interrupted_ns: int | None = None) -> dict[str, Any]:
        """Stop tracing, drain the rest, and close the recording; returns its witnesses.

        ``interrupted_ns`` (CLOCK_MONOTONIC) is when the traced program was told to end in the
        middle of its work, None if it was not. Raises the error that ended the recording
        early, if one did.
        """
        stopping = self._probes.witnesses()
        end = self._stop(interrupted_ns)
        after = self._read_module()
        if after is not None:
            after = {**after, "stopping": stopping}
        self._drain_rest()
        if self._failure is not None:
            self.abort()
            raise self._failure
        accounts = self._probes.accounts()
        losses = self._read_losses()
        witnesses = {
            "accounts": {
                name: asdict(account.since(self._accounts[name]))
                for name, account in accounts.items()
            },
            "decoded": self._decode.decoded,
            "rows": self._decode.rows,
            "losses": {name: value - self._losses[name] for name, value in losses.items()},
            "stats": _changed(self._before, after),
            "log": self._log.as_dict(),
            "spool": _refused(self._sends.odd, self._probes.users()),
            "traced": self._traced,
            "running": self._running,
            "not_understood": asdict(self._not_understood()),
            "end": end,
        }
        self._release()
        self._writer.close(witnesses)
        return witnesses

    def abort(self) -> None:
        """Stop tracing without closing the recording, after a failure.

        What was drained and not yet written is written, if that is still possible. Does nothing
        if the session has ended already.
        """
        if self._released:
            return
        self._release()
        with suppress(TracerError):
            self._writer.flush()

    def _stop(self, interrupted_ns: int | None) -> dict[str, Any]:
        """Stop tracing; returns what was going on then, for ``meta.json``.

        ``open`` are the calls that had not returned, ``cut`` the ids of the threads whose last
        call may be missing in the user side's log. See tracer.frames.slack.
        """
        stopping_ns = time.monotonic_ns()
        stopped = self._probes.stop_tracing()
        self._stopped_ns = time.monotonic_ns()
        cut = {
            tid
            for tid, ending in self._probes.endings().items()
            if ending.signal or (interrupted_ns is not None and ending.ended_ns >= interrupted_ns)
        }
        return {
            "interrupted_ns": interrupted_ns,
            "stopping_ns": stopping_ns,
            "stopped_ns": self._stopped_ns,
            "open": [asdict(call) for call in stopped.calls],
            "cut": sorted(cut.union(stopped.threads)),
        }

    def _drain_rest(self) -> None:
        """Drain until the ring is empty, since a CPU may still be writing a record.

        The logs are read last. So the records of all calls that they mention are in the
        recording by then.
        """
        deadline = time.monotonic() + REST_SECONDS
        self.drain()
        while self._probes.ring.pending and not self.failed and time.monotonic() < deadline:
            self.drain()
        if not self.failed:
            for entries in self._sends.rest():
                self._keep(entries)

    def _not_understood(self) -> NotUnderstood:
        """The records that were left out: of another length, or an unknown kind or point."""
        ring, decoder = self._probes.ring.odd, self._decode.odd
        return NotUnderstood(ring.count + decoder.count, ring.first or decoder.first)

    def _release(self) -> None:
        if self._released:
            return
        self._released = True
        if self._lent:
            self._probes.forget()
        else:
            self._probes.close()
        self._sends.close()
        self._spool.close()

    def _read_losses(self) -> dict[str, int]:
        return {
            "recursion_misses": self._probes.recursion_misses(),
            "kprobe_misses": self._probes.kprobe_misses(),
        }

    def _read_module(self) -> Mapping[str, Any] | None:
        """The module's counters, between two readings of the probes' counts at its tracepoints.

        Processes that are not traced may use the module while the counters are read. The
        probes count such requests; the readings before (``early``) and after (``late``) bound
        how many of them the counters contain. None if the plan does not watch the module.
        """
        if not self._plan.module:
            return None
        early = self._probes.witnesses()
        counters, ports = read_counters(), read_ports()
        return {
            "early": early,
            "counters": counters,
            "ports": {str(port): values for port, values in ports.items()},
            "late": self._probes.witnesses(),
        }


def _refused(odd: Mapping[tuple[int, str], str], users: set[int]) -> dict[str, dict[str, Any]]:
    """The files of the spool that were not taken for logs: how many, and the first one.

    They are counted apart: files of users that traced processes ran as (``ours``), which may be
    damaged logs, and files of other users (``strangers``).
    """
    by_owner: dict[str, list[str]] = {"ours": [], "strangers": []}
    for (uid, name), why in odd.items():
        by_owner["ours" if uid in users else "strangers"].append(f"{name}: {why}")
    return {
        owner: {"count": len(told), "first": min(told, default="")}
        for owner, told in by_owner.items()
    }


def _changed(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> dict[str, Mapping[str, Any] | None]:
    """The module's counters before and after, without the ports whose counts are the same in both.

    So a recording does not grow with the number of other programs that used the module before.
    """
    if before is None or after is None:
        return {"before": before, "after": after}
    old, new = before["ports"], after["ports"]
    moved = {port for port in new if old.get(port) != new[port]}
    return {
        name: {**reading, "ports": {p: n for p, n in reading["ports"].items() if p in moved}}
        for name, reading in (("before", before), ("after", after))
    }
