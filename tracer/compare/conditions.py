# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of the conditions that runs must meet to be compared."""

SHARED = ("plan", "kernel", "clock")
"""Conditions that must be the same in all runs: the keys of ``Digest.conditions``."""
ORDER, WORKLOAD = "order", "workload"
CONDITIONS = (*SHARED, "untrusted", "outcomes", WORKLOAD, ORDER)
"""All conditions, by the name that ``Options.allow`` takes. If one is violated and not allowed, the
comparison is refused. Only ``order`` is different: if the runs were not recorded in turn, on a wall
clock, every line is inconclusive."""
