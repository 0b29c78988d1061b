# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles the pass before it is needed: ``python -m tracer.correlate.onepass.ahead``.

Does nothing where that was done before, or numba is not installed.
"""

from __future__ import annotations

import pyarrow as pa

from tracer.correlate.onepass.compiled import is_compiled
from tracer.correlate.onepass.run import CALLS, run
from tracer.recording.format import SCHEMAS


def compile_ahead() -> None:
    """Compile all functions of the pass, as numba's variables in the environment say.

    numba compiles a function when it is called: so one record of each kind goes through the pass.
    """
    if not is_compiled():
        records = {kind: _zeros(SCHEMAS[kind]) for kind in CALLS}
        run(records, _zeros(SCHEMAS["sends"]), _zeros(SCHEMAS["tasks"]), fast=True)


def _zeros(schema: pa.Schema) -> object:
    """A frame of one row in which every column is 0."""
    columns = [pa.array([0], pa.int64()).cast(field.type) for field in schema]
    return pa.table(columns, schema=schema).to_pandas()


if __name__ == "__main__":
    compile_ahead()
