# SPDX-License-Identifier: GPL-2.0-or-later
"""What the calls of bpf(2) need of the process; the calls themselves are in tests/kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMITED = """if True:
    import resource, sys
    from tracer.attach.bpf import raise_memlock_limit
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, hard))
    raise_memlock_limit(sys.argv[1])
    print(hard, *resource.getrlimit(resource.RLIMIT_MEMLOCK))
"""


def limits(release: str) -> list[int]:
    """The hard limit before; the soft one, which was 65536, and the hard one after."""
    told = subprocess.check_output([sys.executable, "-c", LIMITED, release], text=True)
    return [int(limit) for limit in told.split()]


@pytest.mark.parametrize("release", ["5.11.0", "5.19-rc1", "6.1.0-56-amd64", "6.12.9+", "10.0.1"])
def test_the_limit_stays_where_maps_are_not_counted(release: str) -> None:
    """A traced command inherits it, and is to run as it would without the tracer."""
    hard, soft, after = limits(release)
    assert (soft, after) == (65536, hard)


@pytest.mark.parametrize("release", ["5.10.0-30-amd64", "5.8.0", "strange"])
def test_the_limit_is_lifted_where_maps_are_counted(release: str) -> None:
    """As far as this process may: without CAP_SYS_RESOURCE the hard limit stays."""
    hard, soft, after = limits(release)
    assert soft == after
    assert after in (-1, hard)
