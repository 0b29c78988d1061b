# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the lab can start on this machine, asked without starting it."""

from __future__ import annotations

from tracer.errors import TracerError
from tracer.lab import kernels, session, vm
from tracer.module.build import require_tools


def kernel() -> str:
    """The version of the kernel that the lab boots here, with the module built for it.

    Raises TracerError for what it lacks, the first thing only.
    """
    if session.shared_directory() is not None:
        raise TracerError(
            "cannot start the lab", "this is the guest of one", "start it outside the guest"
        )
    version = kernels.choose(None)
    vm.require_tools()
    require_tools(version)
    return version
