# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a guest's console: what the kernel complained of, and what came last."""

from __future__ import annotations

import re

# Written to the console when the stock kernel has booted, before msgchan is loaded:
# what it says earlier is not about us. With an instruction-counting clock, boot is
# full of timeouts, as time jumps ahead whenever the guest waits for the host.
GUEST_IS_UP = "tracer-lab: the guest is up"
# What follows is the guest's shutdown.
COMMAND_ENDED = "tracer-lab: the command ended"

_COMPLAINT = re.compile(
    r"WARNING: (CPU|possible|suspicious|inconsistent|bad unlock|held lock|Nested lock|\S+ )"
    r"|\bBUG: |\bOops\b|Kernel panic|general protection fault|Unable to handle kernel"
    r"|Call Trace:|\bINFO: (task|possible|trying|rcu|lockdep|inconsistent)|rcu: INFO:"
    r"|\bKASAN: |\bUBSAN: |\bKFENCE: |\bKCSAN: |kmemleak: \d+ new"
    r"|refcount_t: |list_(add|del) corruption|DEBUG_LOCKS_WARN_ON"
)
# virtme-ng's init logs its own small misfortunes in the same words.
_NOT_THE_KERNEL = re.compile(r"virtme(-ng)?-init: ")


def complaints(text: str) -> list[str]:
    """The lines in which the kernel reports an oops, a warning, a lockdep or sanitizer finding.

    From where the guest was up, or from the beginning if it never was.
    """
    return [
        line.rstrip()
        for line in _since_up(text).splitlines()
        if _COMPLAINT.search(line) and not _NOT_THE_KERNEL.search(line)
    ]


def tail(text: str, lines: int = 20) -> list[str]:
    """The last lines before shutdown, of those from where the guest was up if it was."""
    said = []
    for line in _since_up(text).splitlines():
        if COMMAND_ENDED in line:
            break
        said.append(line.rstrip())
    return [line for line in said if line][-lines:]


def _since_up(text: str) -> str:
    return text.rpartition(GUEST_IS_UP)[2]
