# SPDX-License-Identifier: GPL-2.0-or-later
"""Send a known workload over the module's channels, and sum up what the clients measured.

Channels are driven one after another, each by its own threads.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from math import floor

from tracer.clients import wire
from tracer.clients.workers import TOLD, WORKERS, Tally, Worker
from tracer.clients.workload import Workload
from tracer.errors import TracerError

__all__ = ["Outcome", "Wait", "Workload", "drive"]


@dataclass(frozen=True)
class Wait:
    """How long the module's delay in one stage was, over the answered requests; nanoseconds."""

    stage: str
    asked_ns: int
    p50_ns: int
    min_ns: int
    max_ns: int


@dataclass(frozen=True)
class Outcome:
    """The results of one channel; latencies in nanoseconds, as the user side measured them.

    With ``rate``, each request has an intended time. ``late_p99_ns`` is the 99th
    percentile of how much later the requests really began; the latencies do not
    contain that time. It is 0 without ``rate``. ``waits`` are the delays that the
    module's replies report, 0 where none was requested.
    """

    channel: str
    requests: int
    errors: int
    mismatches: int
    seconds: float
    p50_ns: int
    p99_ns: int
    max_ns: int
    late_p99_ns: int
    first_error: str
    waits: tuple[Wait, ...] = ()


def drive(workload: Workload) -> list[Outcome]:
    """Send the workload; returns one outcome per channel, for sockopt one each of set and get.

    Raises `TracerError` when the workload asks for what the module does not do, the
    module is not loaded, or it refuses the requests for a reason that will not go away.
    """
    workload.check()
    wire.require_loaded()
    return [outcome for channel in workload.channels for outcome in _Team(channel, workload).run()]


def _refused(channel: str, error: OSError) -> TracerError:
    what = f"cannot drive {channel}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return TracerError(
            what,
            "the requests are not permitted",
            "run as root: they need CAP_NET_ADMIN, delays need it on the host, pings CAP_NET_RAW",
        )
    return TracerError(what, str(error), "see `tracer kmod status` and the kernel log")


class _Team:
    """The threads that send one channel's requests, each with its worker."""

    def __init__(self, channel: str, workload: Workload) -> None:
        self._channel = channel
        self._load = workload
        self._workers = [WORKERS[channel](workload, n) for n in range(workload.threads)]
        self._barrier = threading.Barrier(workload.threads)
        self._is_stopping = False
        self._failure: Exception | None = None

    def run(self) -> list[Outcome]:
        threads = [
            threading.Thread(target=self._work, args=(worker,), name=f"{self._channel}-{n}")
            for n, worker in enumerate(self._workers)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._stop()
            raise
        if isinstance(self._failure, OSError):
            raise _refused(self._channel, self._failure) from self._failure
        if self._failure:
            raise self._failure
        return [self._outcome(kind) for kind in self._workers[0].kinds]

    def _work(self, worker: Worker) -> None:
        try:
            worker.run(self._barrier.wait, lambda: self._is_stopping)
        except threading.BrokenBarrierError:
            pass  # another thread failed and has stored the reason in _failure
        except Exception as error:
            self._failure = self._failure or error
            self._stop()

    def _stop(self) -> None:
        self._is_stopping = True
        self._barrier.abort()

    def _outcome(self, kind: str) -> Outcome:
        tallies = [worker.tallies[kind] for worker in self._workers]
        latency = _sorted(t.latency[: t.done] for t in tallies)
        lateness = _sorted(t.lateness[: t.done] for t in tallies)
        begin = min(worker.begin_ns for worker in self._workers)
        end = max(worker.end_ns for worker in self._workers)
        return Outcome(
            channel=kind,
            requests=len(latency) + sum(t.errors for t in tallies),
            errors=sum(t.errors for t in tallies),
            mismatches=sum(t.mismatches for t in tallies),
            seconds=(end - begin) / 1e9,
            p50_ns=_quantile(latency, 0.5),
            p99_ns=_quantile(latency, 0.99),
            max_ns=_quantile(latency, 1),
            late_p99_ns=_quantile(lateness, 0.99),
            first_error=next((t.first_error for t in tallies if t.first_error), ""),
            waits=self._waits(kind, tallies),
        )

    def _waits(self, kind: str, tallies: list[Tally]) -> tuple[Wait, ...]:
        """Statistics of the module's delays, over the requests that were answered by a reply."""
        if kind == "netlink" and self._load.op == "sink":
            return ()
        found = []
        for stage in TOLD.get(kind, ()):
            waited = _sorted(t.waited[stage][: t.done] for t in tallies)
            if waited:
                asked = getattr(self._load, f"{stage}_delay_ns")
                found.append(Wait(stage, asked, _quantile(waited, 0.5), waited[0], waited[-1]))
        return tuple(found)


def _sorted(parts: Iterable[Iterable[int]]) -> list[int]:
    """The values of all threads in ascending order. Without numpy: it takes long to import."""
    return sorted(chain.from_iterable(parts))


def _quantile(ordered: list[int], share: float) -> int:
    """The quantile of sorted values, between two of them in proportion; 0 if there are none."""
    if not ordered:
        return 0
    place = share * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return int(ordered[below] + (ordered[above] - ordered[below]) * (place - below))
