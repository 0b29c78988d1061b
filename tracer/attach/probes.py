# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles and attaches the probes, tells them whom to trace, and reads their maps."""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracer.attach import doctor, loader, relay
from tracer.attach.bpf import RefusedError
from tracer.attach.btf import Btf
from tracer.attach.loader import Program
from tracer.attach.plan import Plan
from tracer.attach.program import (
    PORT_HINTS,
    SLOTS,
    cannot_load,
    compiled_program,
    compiler_flags,
)
from tracer.attach.ring import Ring
from tracer.attach.ring_size import require_ring_size
from tracer.attach.sites import (
    BREAKPOINT,
    FUNCTIONS,
    KPROBE,
    RELAY,
    Function,
)
from tracer.attach.sockets import BoundSocket, descriptor_of
from tracer.attach.threads import Stopped, Threads
from tracer.errors import TracerError
from tracer.event import RECORD_POINTS, NotUnderstood
from tracer.processes import users

#: A kretprobe needs one instance for each call in progress. For a function that never sleeps
#: one per CPU would do if calls were not preempted; 64 allow for that. The kernel's limit is
#: 4096 (KRETPROBE_MAXACTIVE_MAX).
_MAXACTIVE, _MAXACTIVE_LIMIT = 64, 4096
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
#: The counters of ``struct account`` and ``struct witness``, and ``struct ending`` (bpf/maps.c).
_ACCOUNT = ("emitted", "lost", "checksum", "missed")
_WITNESS = ("foreign", "replies", "foreign_replies")
_ENDING = struct.Struct("<QQ")


@dataclass(frozen=True)
class Account:
    """One point's counts, summed over the CPUs (``struct account`` in bpf/maps.c).

    ``emitted`` records were written to the ring; ``lost`` ones found no room there.
    ``checksum`` is the sum of the checksums of the emitted records modulo 2**64.
    ``missed`` counts what the probe could not observe, such as calls whose return it missed.
    """

    emitted: int
    lost: int
    checksum: int
    missed: int

    def since(self, before: Account) -> Account:
        """The difference to an earlier reading."""
        return Account(
            self.emitted - before.emitted,
            self.lost - before.lost,
            (self.checksum - before.checksum) % 2**64,
            self.missed - before.missed,
        )


@dataclass(frozen=True)
class Ending:
    """When a traced thread ended (ns), and the signal that killed it, 0 for none."""

    ended_ns: int
    signal: int


class Probes:
    """The attached probes of one plan.

    ``ring_bytes`` is the ring's data size, a power of two and a multiple of the
    page size. ``protocols`` are the numbers of msgchan's two netlink protocols, ``options``
    those of its socket options. Everything is attached when the constructor returns; nothing
    is traced until :meth:`trace`. Raises :class:`TracerError` when the program does
    not compile, load or attach.
    """

    def __init__(
        self,
        plan: Plan,
        ring_bytes: int,
        protocols: tuple[int, int] = (30, 31),
        options: range = range(10128, 10130),
    ) -> None:
        require_ring_size(ring_bytes)
        self.plan = plan
        self._breakpoints: list[int] = []
        self._kprobes: list[Any] = []
        self._copy_address = (
            doctor.symbol_address("_copy_to_user") if plan.copy == BREAKPOINT else 0
        )
        self._relayed: set[int] = set()
        self._ran_as: set[tuple[int, int]] = set()
        btf = Btf.of_running_kernel()
        compiled = compiled_program(compiler_flags(plan, btf, protocols))
        try:
            self._program = Program(compiled, btf, ring_bytes)
        except OSError as error:
            raise cannot_load(error) from error
        try:
            self._attach()
            maps = self._program.maps
            self._threads = Threads(maps, SLOTS, options)
            self.ring = Ring(maps["events"].fd, ring_bytes)
        except BaseException:
            self._detach()
            raise

    def _attach(self) -> None:
        try:
            self._program.attach()
            if self.plan.copy == RELAY:
                self._program.attach_tracepoint("on_copy_relay", "copy_to_user")
        except (OSError, RefusedError) as error:
            raise cannot_load(error) from error
        probed = [f for f in FUNCTIONS if self.plan.functions[f.name] == KPROBE]
        if not probed:
            return
        from tracer.attach.libbcc import ENTRY, RETURN, Kprobe

        try:
            for function in probed:
                if function.entry:
                    program = self._program.load(f"entry_{function.name}", loader.KPROBE)
                    self._kprobes.append(Kprobe(program, ENTRY, function.name))
            for function in probed:
                if function.returns:
                    program = self._program.load(f"return_{function.name}", loader.KPROBE)
                    instances = _maxactive(function)
                    self._kprobes.append(Kprobe(program, RETURN, function.name, instances))
        except (OSError, RefusedError) as error:
            raise TracerError(
                "cannot attach a kprobe", str(error), "see 'tracer doctor', or the kernel log"
            ) from error

    def _detach(self) -> None:
        for kprobe in self._kprobes:
            kprobe.close()
        self._kprobes.clear()
        self._program.close()

    def trace(self, tgid: int, *, fresh: bool = True) -> None:
        """Trace every thread of the process ``tgid``, and all that they start from now on.

        With ``fresh`` a thread may be inside a call at this moment; its return is then not
        counted as missed. Raises ``ProcessLookupError`` when there is no such process.
        """
        seen: set[int] = set()
        while True:
            found = {int(name) for name in _listdir(f"/proc/{tgid}/task")}
            if not found and not seen:
                raise ProcessLookupError(tgid)
            if found <= seen:
                break
            for tid in found - seen:
                self._trace_thread(tid, tgid, fresh)
            seen |= found
        self._note_users(tgid)
        if self.plan.copy == RELAY:
            self._relayed.add(tgid)
            relay.enlist(tgid)

    def _trace_thread(self, tid: int, tgid: int, fresh: bool) -> None:
        if self._threads.process_of(tid) == tgid:
            return  # the fork probe has entered it already
        # Set the breakpoint before the thread has its slot. From then on the fork probe enters
        # the threads that it starts, and those must have inherited the breakpoint.
        if self.plan.copy == BREAKPOINT:
            self._attach_breakpoint(tid)
        self._threads.enter(tid, tgid, fresh=fresh)

    def ran_as(self, tgid: int, uid: int) -> bool:
        """Whether the process is or was traced, and had this user id meanwhile.

        The probes note a process's file system user id when it starts, calls exec and ends. A
        running process may have changed its user since, so if need be its ids are looked up
        in ``/proc``.
        """
        if (tgid, uid) in self._ran_as or self._noted(tgid, uid):
            return True
        if self._threads.process_of(tgid) == tgid:
            self._note_users(tgid)
        return (tgid, uid) in self._ran_as or self._noted(tgid, uid)

    def users(self) -> set[int]:
        """The user ids that traced processes had, as far as they were noted."""
        keys = self._program.maps["users"].keys()
        noted = {_U64.unpack(key)[0] & 0xFFFFFFFF for key in keys}
        return noted | {uid for _tgid, uid in self._ran_as}

    def _noted(self, tgid: int, uid: int) -> bool:
        return self._program.maps["users"].get(_U64.pack(tgid << 32 | uid)) is not None

    def _note_users(self, tgid: int) -> None:
        self._ran_as |= {(tgid, uid) for uid in users(tgid)}

    def trace_socket(self, socket: BoundSocket, tgid: int) -> None:
        """Trace messages to a netlink socket that process ``tgid`` bound before it was traced."""
        maps = self._program.maps
        maps["port_hints"].put(_U32.pack(socket.portid % PORT_HINTS), _U32.pack(1))
        key = _port_key(socket.netns, socket.proto, socket.portid)
        maps["ports"].put(_U64.pack(key), _U32.pack(tgid))
        if self.plan.marks:
            self._mark_socket(socket.fd, tgid)

    def _mark_socket(self, fd: int, tgid: int) -> None:
        """Give another process's socket the storage that marks it, by a copy of its descriptor.

        Does nothing if the process has ended or closed it meanwhile.
        """
        with suppress(OSError):
            here = descriptor_of(tgid, fd)
            try:
                self._program.maps["marked_sockets"].put(_U32.pack(here), _U32.pack(0))
            finally:
                os.close(here)

    def _attach_breakpoint(self, tid: int) -> None:
        """Set a breakpoint for a thread and all that it starts from now on, on every CPU.

        Does nothing if the thread has ended.
        """
        from tracer.attach.libbcc import attach_breakpoint

        program = self._program.load("on_copy_breakpoint", loader.PERF_EVENT)
        try:
            self._breakpoints.append(attach_breakpoint(program, self._copy_address, tid))
        except ProcessLookupError:
            return
        except OSError as error:
            raise TracerError(
                "cannot set the breakpoint on _copy_to_user",
                os.strerror(error.errno or 0),
                "raise 'ulimit -n': every thread takes one"
                if error.errno == errno.EMFILE
                else "a debugger may hold all four of the processor's; use --copy relay",
            ) from error

    def accounts(self) -> dict[str, Account]:
        """The counts of every point of `RECORD_POINTS`, by name."""
        return {
            name: Account(**self._counts("accounts", code, _ACCOUNT))
            for code, name in enumerate(RECORD_POINTS)
        }

    def witnesses(self) -> dict[str, dict[str, int]]:
        """Counts at the module's tracepoints by channel (``struct witness`` in bpf/maps.c)."""
        return {
            name: self._counts("witnesses", code, _WITNESS)
            for code, name in enumerate(("setsockopt", "getsockopt", "netlink", "icmp"))
        }

    def _counts(self, name: str, number: int, fields: tuple[str, ...]) -> dict[str, int]:
        """The entry of a per-CPU array of 64-bit counters, summed over the CPUs."""
        value = self._program.maps[name].get(_U32.pack(number))
        assert value is not None, f"the array {name} has no entry {number}"
        sums = np.frombuffer(value, np.uint64).reshape(-1, len(fields)).sum(axis=0)
        return dict(zip(fields, sums.tolist(), strict=True))

    def recursion_misses(self) -> int:
        """How many probe runs the kernel skipped since the same program ran on that CPU already."""
        total = 0
        for program in self._program.loaded():
            for line in _fdinfo(program):
                if line.startswith("recursion_misses:"):
                    total += int(line.split()[1])
        return total

    def kprobe_misses(self) -> int:
        """How often this process's kprobe events missed a hit (``kprobe_profile`` in tracefs)."""
        directory = doctor.tracefs()
        if directory is None:
            return 0
        mark, total = f"_bcc_{os.getpid()}", 0
        for line in (directory / "kprobe_profile").read_text().splitlines():
            name, _hits, misses = line.split()
            if name.endswith(mark):
                total += int(misses)
        return total

    def stop_tracing(self) -> Stopped:
        """Stop tracing every thread; returns those that still ran, and their open calls."""
        for tgid in self._threads.processes():
            self._note_users(tgid)
        stopped = self._threads.stop()
        self._program.maps["ports"].clear()
        if self._relayed:
            relay.dismiss(self._relayed)
            self._relayed.clear()
        return stopped

    def endings(self) -> dict[int, Ending]:
        """How traced threads ended, by thread id; of more than MAX_THREADS the latest ones."""
        return {
            _U32.unpack(key)[0]: Ending(*_ENDING.unpack(value))
            for key, value in self._program.maps["endings"].items()
        }

    def forget(self) -> None:
        """Stop tracing, and drop what the maps and the ring hold, before another recording."""
        self.stop_tracing()
        self._remove_breakpoints()
        self._program.maps["endings"].clear()
        self._ran_as.clear()
        self._program.maps["users"].clear()
        self.ring.read()
        self.ring.odd = NotUnderstood()

    def close(self) -> None:
        """Detach everything and free the maps."""
        self.stop_tracing()
        self._remove_breakpoints()
        self._threads.close()
        self.ring.close()
        self._detach()

    def _remove_breakpoints(self) -> None:
        for fd in self._breakpoints:
            os.close(fd)
        self._breakpoints.clear()


def _port_key(netns: int, proto: int, portid: int) -> int:
    """The same as ``port_key()`` in bpf/watch.c."""
    return (netns << 37 | (proto & 31) << 32 | portid) % 2**64


def _maxactive(function: Function) -> int:
    """How many instances a kretprobe needs: each call holds one until it returns.

    A function that sleeps gets two for every thread that there is now, at least 512.
    """
    if not function.blocks:
        return _MAXACTIVE
    threads = sum(len(_listdir(f"/proc/{pid}/task")) for pid in _listdir("/proc") if pid.isdigit())
    return min(_MAXACTIVE_LIMIT, max(512, 2 * threads))


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _fdinfo(fd: int) -> list[str]:
    try:
        return Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    except OSError:
        return []
