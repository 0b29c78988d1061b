# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts a command whose processes are all killed when the process that started it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

# The shell's background job waits on a pipe, the lease, whose only writer is the process that
# started the group. However that process ends, the kernel closes its end of the pipe; then read
# returns and kill ends every process of the group. prctl's PR_SET_PDEATHSIG would do for the
# child, but not for the processes that virtme-ng starts.
_TIED = """\
lease=$1
shift
{ read -r _ <"/proc/self/fd/$lease"; kill -KILL 0; } </dev/null >/dev/null 2>&1 &
exec "$@"
"""


# Wait at most so long for killed processes to be gone: freeing a machine's memory takes time.
_PATIENCE_SECONDS = 10


class Group:
    """``argv`` in a session of its own. It and all it started are killed when this process ends.

    They are killed however this process ends, by SIGKILL too, and also when this object is
    garbage-collected. ``how`` are arguments for :class:`subprocess.Popen`. Call :meth:`close`,
    or use it as a context manager.
    """

    def __init__(self, argv: Sequence[str], **how: Any) -> None:
        self._killed = False
        watched, lease = os.pipe()
        alive, inherited = os.pipe()
        self._lease, self._alive = os.fdopen(lease, "wb"), os.fdopen(alive, "rb")
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                ["sh", "-c", _TIED, "tracer-lab", str(watched), *argv],
                pass_fds=[watched, inherited],
                start_new_session=True,
                **how,
            )
        except BaseException:
            self._lease.close()
            self._alive.close()
            raise
        finally:
            os.close(watched)
            os.close(inherited)

    def kill(self) -> None:
        """Kill every process of the group. May be called from any thread or signal handler."""
        # Not a second time: another group may have got the number by then.
        if self._killed:
            return
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill what is left of the group and wait until all of it is gone."""
        if self._lease.closed:
            return
        self.kill()
        self.process.wait()
        # Every process that the command started has inherited the other end of this pipe. It hangs
        # up when the last one is gone. One that left the group is not killed and may hold it.
        alive = select.poll()
        alive.register(self._alive, select.POLLHUP)
        alive.poll(_PATIENCE_SECONDS * 1000)
        self._alive.close()
        self._lease.close()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
