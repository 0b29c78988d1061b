# SPDX-License-Identifier: GPL-2.0-or-later
"""Record a command, a process, or a block of the calling program."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tracer.attach.probes import Probes
from tracer.errors import TracerError
from tracer.recorder import machine
from tracer.recorder.process import Command, Watched, require_executable
from tracer.recorder.session import Options, Session
from tracer.recorder.traced import Traced

#: Seconds between two drains of the ring. On the deterministic clock, which counts the
#: drain's instructions too, the ring is drained only when it is half full and at the end.
DRAIN_SECONDS = 0.05
#: A command that was asked to end gets so many seconds before the next signal.
END_SECONDS = 10.0


class _Stop:
    """Handler of SIGINT and SIGTERM, which notes them so that the recording ends cleanly.

    ``number`` is the last signal. ``at_ns`` (CLOCK_MONOTONIC) is when the recording was told to
    end, by a signal or because its duration is over.
    """

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        self.at_ns: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.at_ns = self.at_ns or time.monotonic_ns()
        self.number = signal.Signals(number)


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def record_command(
    path: Path,
    argv: Sequence[str],
    options: Options | None = None,
    *,
    duration: float | None = None,
    ready: Callable[[], None] = lambda: None,
    probes: Probes | None = None,
) -> int:
    """Record ``argv`` from its first system call to its end, into the directory ``path``.

    Returns the command's exit status as a shell reports it. ``duration`` (seconds)
    ends the recording early, and the command with it (SIGTERM); SIGINT and SIGTERM
    do the same. ``ready`` is called when the probes are attached, before the command starts.
    With ``probes``, those are used and stay attached; otherwise new ones are attached for this
    recording. Raises :class:`TracerError` when recording fails. If the command is running
    then, it is not killed but waited for, and what was recorded until then is kept.
    """
    require_executable(argv[0])
    session = Session(path, argv, options or Options(), probes)
    command = Command(argv, session.environment)
    try:
        with _stop_on_signals() as stop:
            session.trace(command.pid, held=True)
            ready()
            try:
                command.release()
            except TracerError:
                session.finish()
                raise
            if not _drain_until(session, command, duration, stop):
                stop.at_ns = stop.at_ns or time.monotonic_ns()
                _end(session, command, stop.number or signal.SIGTERM)
            status = command.status()
            session.finish(interrupted_ns=stop.at_ns)
    except BaseException:
        session.abort()
        command.end()
        raise
    finally:
        command.close()
    return status


def record_process(
    path: Path,
    pid: int,
    options: Options | None = None,
    *,
    duration: float | None = None,
    ready: Callable[[], None] = lambda: None,
    probes: Probes | None = None,
) -> None:
    """Record the running process ``pid`` until it ends, ``duration`` is over or a signal comes.

    Its descendants are recorded too, those that exist now and those started later. The other
    arguments are those of :func:`record_command`. Raises :class:`TracerError` when there is no
    such process or recording fails.
    """
    watched = Watched(pid)
    session = Session(path, ["-p", str(pid)], options or Options(), probes)
    try:
        with _stop_on_signals() as stop:
            try:
                session.trace(pid)
                session.trace_descendants(pid)
            except ProcessLookupError as error:
                session.finish()
                raise TracerError(
                    f"cannot record process {pid}",
                    "it ended before it could be traced",
                    "start it under 'tracer record -o DIR -- COMMAND'",
                ) from error
            ready()
            _drain_until(session, watched, duration, stop)
            session.finish()
    except BaseException:
        session.abort()
        raise
    finally:
        watched.close()


@contextmanager
def capture(
    path: Path | str, options: Options | None = None, *, probes: Probes | None = None
) -> Iterator[Traced]:
    """Record the calling process while the block runs.

    ``with tracer.capture("runs/one") as run: …`` and then ``run.exchanges``: the recording is
    read when it is first used. The clients of ``tracer.clients`` log their sends if they are
    opened inside the block. The ring is drained by a thread of this process. Raises
    :class:`TracerError` when recording fails.
    """
    handle = Traced(Path(path))
    session = Session(handle.path, ["<python>"], options or Options(), probes)
    before = {name: os.environ.get(name) for name in session.environment}
    os.environ.update(session.environment)
    over = threading.Event()
    drainer = threading.Thread(target=_drain_live, args=(session, over), daemon=True)
    try:
        session.trace(os.getpid())
        drainer.start()
        yield handle
    finally:
        over.set()
        drainer.join()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        try:
            session.finish()
        finally:
            session.abort()
    handle.finished()


def _drain_live(session: Session, over: threading.Event) -> None:
    while not over.wait(DRAIN_SECONDS):
        if not machine.deterministic() or session.ring_fill > 0.5:
            session.drain()


def _drain_until(session: Session, watched: Watched, duration: float | None, stop: _Stop) -> bool:
    """Drain until the process ends, the duration is over or a signal comes.

    Returns whether the process has ended.
    """
    deadline = None if duration is None else time.monotonic() + duration
    while stop.number is None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        if watched.ended(DRAIN_SECONDS if left is None else min(DRAIN_SECONDS, left)):
            return True
        if session.failed and not isinstance(watched, Command):
            return False
        if not machine.deterministic() or session.ring_fill > 0.5:
            session.drain()
    return watched.ended(0)


def _end(session: Session, command: Command, number: signal.Signals) -> None:
    """End the command, draining meanwhile.

    Sends ``number``, then SIGTERM, then SIGKILL, each after `END_SECONDS` in vain.
    """
    for attempt in (number, signal.SIGTERM, signal.SIGKILL):
        command.send(attempt)
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            if command.ended(DRAIN_SECONDS):
                return
            session.drain()
