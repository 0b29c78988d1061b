# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from tracer.errors import TracerError
from tracer.lab import kernels


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    for version in ("6.1.0-56-amd64", "6.1.0-9-amd64", "6.12.3-amd64", "5.10.0-30-amd64"):
        (tmp_path / f"vmlinuz-{version}").touch()
    (tmp_path / "initrd.img-7.0.0-amd64").touch()
    return tmp_path


def test_versions_are_ordered_by_number(boot: Path) -> None:
    assert kernels.installed(boot) == [
        "5.10.0-30-amd64",
        "6.1.0-9-amd64",
        "6.1.0-56-amd64",
        "6.12.3-amd64",
    ]


def test_the_newest_is_chosen_unless_one_is_wanted(boot: Path) -> None:
    assert kernels.choose(None, boot) == "6.12.3-amd64"
    assert kernels.choose("6.1.0-9-amd64", boot) == "6.1.0-9-amd64"
    assert kernels.image("6.1.0-9-amd64", boot).is_file()


def test_a_kernel_that_is_not_installed_is_named_with_those_that_are(boot: Path) -> None:
    with pytest.raises(TracerError, match=r"cannot boot kernel 4\.19: .*choose from: 5\.10"):
        kernels.choose("4.19", boot)


def test_no_kernel_at_all(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match="no kernel to boot"):
        kernels.choose(None, tmp_path)
