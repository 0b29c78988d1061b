# SPDX-License-Identifier: GPL-2.0-or-later
"""By how much a quantile may differ from boot to boot on the deterministic clock.

That clock counts instructions, and the kernel executes the same ones each time, except for a few.
A Python program does not: which of its names collide in the interpreter's caches depends on
addresses, which no boot repeats exactly. So stages that contain user code repeat less well than
those within the kernel. ``scripts/rates deterministic`` measures both and prints them beside these
bounds, which are larger than what was measured.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Stages that contain the user's own code; ``unexplained`` may contain anything.
USER_STAGES = ("encode", "queue", "decode", "unexplained", "total")
#: A median within the kernel differs by at most this share or this many instructions, whichever is
#: more.
KERNEL_SHARE = 0.005
KERNEL_INSTRUCTIONS = 10
#: The time between two timer interrupts: Debian's kernel is built with HZ=250.
TICK_NS = 4_000_000
#: The share of exchanges in which a stage within the kernel is disturbed is at most this, or twice
#: the share that timer interrupts hit, if that is more. Other disturbances are rarer.
KERNEL_DISTURBED = 0.0005
#: A disturbance of a stage within the kernel hardly ever lasts longer than this, in ns.
DISTURBANCE_NS = 50_000
KERNEL_DISTURBED_LONG = 0.00001
#: The same shares for user code, which the interpreter's memory management and other threads
#: disturb as well.
USER_DISTURBED, USER_DISTURBED_LONG = 0.03, 0.01
#: By what share a quantile of user code may differ. p90 and p99 differ more, because they depend on
#: how many exchanges of a run are hit by interrupts and the interpreter's memory management.
USER_SHARE = {"p50": 0.06, "p90": 0.3, "p99": 0.3}


def bounds(
    stages: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """By how much each line may differ between two boots that ran the same code, in ns.

    On this clock one ns is one instruction. ``stages`` and ``quantiles`` name the lines;
    ``levels`` are their values in ns.
    """
    names, of = np.asarray(stages, np.str_), np.asarray(quantiles, np.str_)
    user = np.array([USER_SHARE[name] for name in of])
    found: npt.NDArray[np.float64] = np.where(
        np.isin(names, USER_STAGES),
        user * levels,
        np.maximum(KERNEL_SHARE * levels, KERNEL_INSTRUCTIONS),
    )
    return found


def disturbed(stage: str, usual_ns: float) -> tuple[float, float]:
    """The shares of exchanges in which the stage is disturbed: at all, and for long.

    "Long" is more than :data:`DISTURBANCE_NS`; ``usual_ns`` is how long the stage usually takes.
    """
    ticks = 2 * usual_ns / TICK_NS
    if stage in USER_STAGES:
        return min(max(ticks, USER_DISTURBED), 1.0), USER_DISTURBED_LONG
    return min(max(ticks, KERNEL_DISTURBED), 1.0), KERNEL_DISTURBED_LONG
