# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a guest's console: finds the kernel's complaints, and the last lines before the end."""

from __future__ import annotations

import re
from itertools import dropwhile, islice

# The guest's script writes this line to the console when the stock kernel has booted, before
# msgchan is loaded: earlier complaints cannot be about msgchan. There are many with a clock that
# counts instructions, because it jumps ahead whenever the guest waits for the host, so that
# drivers time out during boot.
GUEST_IS_UP = "tracer-lab: the guest is up"
# The script writes this line when the command has ended; then the guest shuts down.
COMMAND_ENDED = "tracer-lab: the command ended"

_COMPLAINT = re.compile(
    r"WARNING: (CPU|possible|suspicious|inconsistent|bad unlock|held lock|Nested lock|\S+ )"
    r"|\bBUG: |\bOops\b|Kernel panic|general protection fault|Unable to handle kernel"
    r"|Call Trace:|\bINFO: (task|possible|trying|rcu|lockdep|inconsistent)|rcu: INFO:"
    r"|\bKASAN: |\bUBSAN: |\bKFENCE: |\bKCSAN: |kmemleak: \d+ new"
    r"|refcount_t: |list_(add|del) corruption|DEBUG_LOCKS_WARN_ON"
)
# Where a processor was: its instruction pointer, or a frame of the call trace.
_FRAME = re.compile(r"\bRIP: |\b[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+")
# virtme-ng's init process logs its own problems to the console in similar words.
_NOT_THE_KERNEL = re.compile(r"virtme(-ng)?-init: ")


def complaints(text: str) -> list[str]:
    """The lines in which the kernel reports an oops, a warning, a lockdep or sanitizer finding.

    Only lines after `GUEST_IS_UP` are looked at; all lines if the guest did not come up.
    """
    return [line.rstrip() for line in _since_up(text).splitlines() if _complains(line)]


def frames(text: str, most: int = 16) -> list[str]:
    """Where the kernel was at its first complaint: the lines that name functions, ``most`` of them.

    The console's file may be gone when somebody reads what a CI run printed.
    """
    since = dropwhile(lambda line: not _complains(line), _since_up(text).splitlines())
    return [line.rstrip() for line in islice(since, 1, None) if _FRAME.search(line)][:most]


def tail(text: str, lines: int = 20) -> list[str]:
    """The last lines before the guest's shutdown, without those of its boot if it came up."""
    said = []
    for line in _since_up(text).splitlines():
        if COMMAND_ENDED in line:
            break
        said.append(line.rstrip())
    return [line for line in said if line][-lines:]


def _since_up(text: str) -> str:
    return text.rpartition(GUEST_IS_UP)[2]


def _complains(line: str) -> bool:
    return bool(_COMPLAINT.search(line)) and not _NOT_THE_KERNEL.search(line)
