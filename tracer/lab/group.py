# SPDX-License-Identifier: GPL-2.0-or-later
"""A command whose processes live no longer than the one that started them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

# Every process of the group is killed once the pipe has no writer left: the kernel closes its
# end whatever ended the writer. prctl's PR_SET_PDEATHSIG would reach the child, but not what
# virtme-ng starts in its turn.
_TIED = """\
lease=$1
shift
{ read -r _ <"/proc/self/fd/$lease"; kill -KILL 0; } </dev/null >/dev/null 2>&1 &
exec "$@"
"""


# The kernel needs a moment to take a killed machine's memory apart.
_PATIENCE_SECONDS = 10


class Group:
    """``argv`` in a session of its own, killed with all it started when this process ends.

    That holds for any end of this process, SIGKILL included, and also when this object is
    collected. ``how`` are arguments of :class:`subprocess.Popen`. Call :meth:`close`, or use
    it as a context manager.
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
        """Kill every process of the group; from any thread or signal handler, and at any time."""
        # Once is enough, and later another group may have the number.
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
        # Each process of the group holds the other end; one that left the group may keep it.
        alive = select.poll()
        alive.register(self._alive, select.POLLHUP)
        alive.poll(_PATIENCE_SECONDS * 1000)
        self._alive.close()
        self._lease.close()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
