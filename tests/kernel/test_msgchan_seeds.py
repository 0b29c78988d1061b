# SPDX-License-Identifier: GPL-2.0-or-later
"""The seeds' user programs, as they stand, print what the seeds show."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgchan_programs import compiled

from tracer.module import kmod

SOCKOPT_TEXT = "setsockopt: ret = 0{0} msg = ----------user------------\n"
SOCKOPT_TEXT += "getsockopt: ret = 0{0} msg = --------kernel---------\n"
NETLINK_TEXT = "send kernel :hell kernel, I am user process!\nfrom kernel:hello users\n"


@pytest.fixture
def base_128(msgchan: Path) -> Iterator[None]:
    """The module loaded with sockopt_base=128."""
    kmod.unload()
    kmod.load(msgchan, sockopt_base=128)
    yield
    kmod.unload()
    kmod.load(msgchan)


def output(program: Path) -> str:
    return subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.usefixtures("msgchan")
@pytest.mark.parametrize("seed", ["seed_000", "seed_001"])
def test_sockopt_10128(seed: str) -> None:
    assert output(compiled(seed)) == SOCKOPT_TEXT.format(",")


@pytest.mark.usefixtures("base_128")
def test_sockopt_128() -> None:
    assert output(compiled("seed_002")) == SOCKOPT_TEXT.format(".")


@pytest.mark.usefixtures("msgchan")
def test_netlink_30() -> None:
    assert output(compiled("seed_004")) == NETLINK_TEXT
