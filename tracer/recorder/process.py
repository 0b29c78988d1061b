# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes that are recorded: a running one, or a command that the recorder starts.

A command is forked first and executed later, when the probes are attached and the child's
process id is traced, so that its first system call is recorded too.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
from collections.abc import Mapping, Sequence

from tracer.errors import TracerError


class Watched:
    """A process whose end is waited for and which is sent signals by its pidfd.

    Raises :class:`TracerError` when there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise TracerError(
                f"cannot record process {pid}",
                "there is no such process",
                "give the id of a running one ('pidof NAME')",
            ) from error

    def ended(self, timeout: float | None) -> bool:
        """Wait for the process's end, ``timeout`` seconds at most (None: for ever).

        Returns whether it has ended.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, round(timeout * 1000))))

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone is no error."""
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)


class Command(Watched):
    """A forked child that executes ``argv`` when :meth:`release` is called.

    Until then it waits on a pipe, the gate. ``environment`` is added to this process's own.
    The command is looked up in PATH; when it cannot be executed, :meth:`release` raises
    :class:`TracerError`.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.argv = list(argv)
        self._held = True
        self._status: int | None = None
        self._gate, gate = os.pipe()[::-1]
        self._failed, failed = os.pipe()
        pid = os.fork()
        if pid == 0:
            _hold_and_execute(self.argv, environment, gate, failed, (self._gate, self._failed))
        os.close(gate)
        os.close(failed)
        super().__init__(pid)

    def release(self) -> None:
        """Let the child execute the command; TracerError when that fails."""
        try:
            os.write(self._gate, b"\n")
        except BrokenPipeError as error:
            self.abandon()
            raise TracerError(
                f"cannot run {self.argv[0]}", "it was ended before it started", "record it again"
            ) from error
        os.close(self._gate)
        self._held = False
        with os.fdopen(self._failed, "rb") as failed:
            code = failed.read()
        if code:
            self.status()
            raise _cannot_run(self.argv[0], int(code))

    def end(self, seconds: float = 10.0) -> None:
        """End the child, released or not: with SIGTERM, and with SIGKILL after ``seconds``."""
        if self._held:
            self.abandon()
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._status is not None or self.ended(0):
                break
            self.send(number)
            self.ended(seconds)
        self.status()

    def status(self) -> int:
        """Wait for the end; returns the exit status.

        A child that was killed by a signal has the status 128 + signal number, as in a shell.
        """
        if self._status is None:
            _pid, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._status = code if code >= 0 else 128 - code
        return self._status

    def abandon(self) -> None:
        """End a child that was not released: closing the gate lets it exit."""
        self._held = False
        os.close(self._gate)
        os.close(self._failed)
        self.status()


def require_executable(name: str) -> None:
    """Raise the :class:`TracerError` that :meth:`Command.release` would raise, but beforehand.

    This spares the seconds of attaching the probes for a mistyped name. It does not notice
    everything: a script's missing interpreter or an unknown binary format shows only when
    the command is executed.
    """
    found = [name] if os.path.dirname(name) else [os.path.join(d, name) for d in os.get_exec_path()]
    codes = [_refusal(path) for path in found]
    if 0 in codes:
        return
    # As execvp(3) does: when one directory has the file but it may not be executed (EACCES),
    # report that instead of "no such file", which is true of the other directories.
    told = [code for code in codes if code not in (errno.ENOENT, errno.ENOTDIR)]
    raise _cannot_run(name, told[0] if told else codes[-1])


def _refusal(path: str) -> int:
    """The errno for which a file cannot be executed, 0 if no reason is known."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno or errno.EIO
    executable = stat.S_ISREG(mode) and os.access(path, os.X_OK, effective_ids=True)
    return 0 if executable else errno.EACCES


def _cannot_run(name: str, code: int) -> TracerError:
    return TracerError(
        f"cannot run {name}", os.strerror(code), "give a command that exists after --"
    )


def _hold_and_execute(
    argv: Sequence[str],
    environment: Mapping[str, str],
    gate: int,
    failed: int,
    parents: tuple[int, int],
) -> None:
    """In the child: wait until the gate is written to, then execute the command.

    If the gate is closed instead, the child exits. A failed exec writes its errno to
    ``failed``. Never returns.
    """
    try:
        for fd in parents:
            os.close(fd)
        os.set_inheritable(failed, False)
        if not os.read(gate, 1):
            os._exit(127)
        os.close(gate)
        os.execvpe(argv[0], list(argv), {**os.environ, **environment})
    except OSError as error:
        os.write(failed, str(error.errno).encode())
    finally:
        os._exit(127)
