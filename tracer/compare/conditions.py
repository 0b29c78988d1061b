# SPDX-License-Identifier: GPL-2.0-or-later
"""The conditions that runs must share to be compared, by name."""

SHARED = ("plan", "kernel", "clock")
"""What all runs must share: the names in ``Digest.conditions``."""
ORDER, WORKLOAD = "order", "workload"
CONDITIONS = (*SHARED, "untrusted", "outcomes", WORKLOAD, ORDER)
"""What makes runs incomparable, by the name that ``Options.allow`` takes. The order of recording
makes them so on a wall clock, and does not refuse them: it leaves every line inconclusive."""
