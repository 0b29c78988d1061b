# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables computed from a run's frames: a frame goes in, a frame comes out, nothing is drawn.

Import them from here, in a notebook as in a script::

    import tracer
    from tracer.tables import stage_table

    run = tracer.load("runs/first")
    stage_table(run.exchanges)

Where the time went: :func:`stage_table`, :func:`median_table`, :func:`stages_by_size`. How long
exchanges took: :func:`distribution_table`, :func:`time_table`, :func:`size_latency_table`,
:func:`slowest_table`. One exchange: :func:`follow`, :func:`observations`. Sizes, outcomes and
several runs: :func:`size_table`, :func:`outcome_table`, :func:`overview`. Netlink compared with
socket options: :func:`by_payload`, :func:`faster`, :func:`crossings`.

A *type* of exchange is a channel and a name, such as ``netlink`` and ``msgchan echo``. *Settled*
exchanges are the complete ones, with the status ``ok`` or ``error`` (:data:`SETTLED`).
"""

from tracer.tables.by_size import stages_by_size
from tracer.tables.channels import KERNEL_STAGES, by_payload, crossings, faster
from tracer.tables.exchange import follow, observations
from tracer.tables.facts import duration_ns, facts
from tracer.tables.groups import groups, once
from tracer.tables.latency import distribution_table, size_latency_table, time_table
from tracer.tables.outcomes import SETTLED, losses, outcome_table, reasons
from tracer.tables.runs import overview
from tracer.tables.sizes import SIZES, size_table
from tracer.tables.slowest import slowest_table
from tracer.tables.stages import lengths, median_row, median_table, stage_table

__all__ = [
    "KERNEL_STAGES",
    "SETTLED",
    "SIZES",
    "by_payload",
    "crossings",
    "distribution_table",
    "duration_ns",
    "facts",
    "faster",
    "follow",
    "groups",
    "lengths",
    "losses",
    "median_row",
    "median_table",
    "observations",
    "once",
    "outcome_table",
    "overview",
    "reasons",
    "size_latency_table",
    "size_table",
    "slowest_table",
    "stage_table",
    "stages_by_size",
    "time_table",
]
