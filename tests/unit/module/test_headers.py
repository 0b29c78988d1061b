# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels have a package of headers."""

from __future__ import annotations

import pytest

from tracer.module import headers


@pytest.mark.parametrize(
    "kver",
    ["6.1.0-56-amd64", "6.1.0-56-cloud-amd64", "6.1.0-56-rt-amd64", "5.10.0-0.deb10.16-amd64",
     "6.12.57+deb13-amd64", "6.12.9+bpo-amd64", "6.16.8+deb14.1-cloud-arm64",
     "6.8.0-45-generic", "6.5.0-1020-aws"],
)  # fmt: skip
def test_a_kernel_of_a_distribution_has_a_package(kver: str) -> None:
    assert headers.remedy(kver) == f"apt install linux-headers-{kver}"


@pytest.mark.parametrize(
    "kver",
    ["6.18.44-fc-v669", "9.9.9-none", "6.1.0", "6.1.0-rc3+", "5.15.167.4-microsoft-standard-WSL2",
     "6.1.0-custom-amd64x", "6.12.3-amd64", ""],
)  # fmt: skip
def test_another_has_none(kver: str) -> None:
    told = headers.remedy(kver)
    assert "apt" not in told
    assert f"link /lib/modules/{kver}/build to the tree it was built in".replace("//", "/") in told
