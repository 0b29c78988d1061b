# SPDX-License-Identifier: GPL-2.0-or-later
"""How well a quantile repeats on the deterministic clock, from boot to boot.

That clock counts instructions, and the kernel executes the same ones each time, but for a
handful. A Python program does not: which of its names collide in the interpreter's caches
follows from addresses, which no boot repeats exactly. So stages that contain user code repeat
less well than those that lie within the kernel. ``make rates`` measures both and prints them
against these bounds, which leave room to what was measured.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Stages that contain the user's own code; ``unexplained`` may contain anything.
USER_STAGES = ("encode", "queue", "decode", "unexplained", "total")
#: Within the kernel a median repeats to the larger of a share and so many instructions.
KERNEL_SHARE = 0.005
KERNEL_INSTRUCTIONS = 10
#: Debian's kernel is built with HZ=250: so often the timer interrupts.
TICK_NS = 4_000_000
#: A stage of the kernel is disturbed at most twice as often as the timer interrupts it, or this
#: share of the exchanges is: what else happens is rarer.
KERNEL_DISTURBED = 0.0005
#: Longer a disturbance of a stage within the kernel lasts next to never, in ns.
DISTURBANCE_NS = 50_000
KERNEL_DISTURBED_LONG = 0.00001
#: In user code the interpreter's memory management and other threads disturb as well.
USER_DISTURBED, USER_DISTURBED_LONG = 0.03, 0.01
#: A quantile of user code repeats to a share: into its slowest exchanges fall timer interrupts
#: and the interpreter's memory management, in one run more than in another.
USER_SHARE = {"p50": 0.06, "p90": 0.3, "p99": 0.3}


def bounds(
    stages: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """By how many instructions each line may differ between two boots that ran the same code.

    ``stages``, ``quantiles``: the names of the lines; ``levels``: their values in ns, of which
    there is one to an instruction.
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
    """Of how many exchanges the stage is disturbed, as a share: at all, and for long.

    ``usual_ns`` is what it usually takes, "long" more than :data:`DISTURBANCE_NS`.
    """
    ticks = 2 * usual_ns / TICK_NS
    if stage in USER_STAGES:
        return min(max(ticks, USER_DISTURBED), 1.0), USER_DISTURBED_LONG
    return min(max(ticks, KERNEL_DISTURBED), 1.0), KERNEL_DISTURBED_LONG
