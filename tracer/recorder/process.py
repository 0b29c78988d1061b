# SPDX-License-Identifier: GPL-2.0-or-later
"""The traced command: started held, released when the probes stand, watched to its end."""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
from collections.abc import Mapping, Sequence

from tracer.errors import TracerError


class Watched:
    """A process that is watched by its pidfd.

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
        """Wait up to ``timeout`` seconds (None: for ever) for the end; whether it came."""
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
    """A child that waits before it executes ``argv`` until :meth:`release`.

    ``environment`` is added to the child's. The command is looked up in PATH;
    when it cannot be executed, :meth:`release` raises :class:`TracerError`.
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
        """End the child in whatever state it is: SIGTERM, after ``seconds`` SIGKILL."""
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
        """Wait for the end; the exit status as a shell reports it (128 + signal number)."""
        if self._status is None:
            _pid, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._status = code if code >= 0 else 128 - code
        return self._status

    def abandon(self) -> None:
        """End a child that was never released."""
        self._held = False
        os.close(self._gate)
        os.close(self._failed)
        self.status()


def require_executable(name: str) -> None:
    """Raise the :class:`TracerError` that :meth:`Command.release` would, but beforehand.

    An interpreter that is missing, or a format that the kernel does not know, only the
    execution itself tells.
    """
    found = [name] if os.path.dirname(name) else [os.path.join(d, name) for d in os.get_exec_path()]
    codes = [_refusal(path) for path in found]
    if 0 in codes:
        return
    # As execvp(3): any other reason tells more than that it is not in one of the directories.
    told = [code for code in codes if code not in (errno.ENOENT, errno.ENOTDIR)]
    raise _cannot_run(name, told[0] if told else codes[-1])


def _refusal(path: str) -> int:
    """Why a file cannot be executed, as errno; 0 when nothing speaks against it."""
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
    """In the child: wait for the gate, execute, or report errno. Never returns."""
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
