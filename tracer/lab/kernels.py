# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that are installed here and that the lab can boot."""

from __future__ import annotations

import re
from pathlib import Path

from tracer.errors import TracerError

_BOOT = Path("/boot")


def installed(boot: Path = _BOOT) -> list[str]:
    """Versions of the kernel images under ``boot``, oldest first."""
    versions = [image.name.removeprefix("vmlinuz-") for image in boot.glob("vmlinuz-*")]
    return sorted(versions, key=_order)


def choose(wanted: str | None, boot: Path = _BOOT) -> str:
    """``wanted`` if it is installed, the newest installed kernel if nothing is wanted.

    Raises TracerError when there is none.
    """
    versions = installed(boot)
    if not versions:
        raise TracerError(
            "no kernel to boot", f"{boot} holds no vmlinuz-*", "run make setup (linux-image-amd64)"
        )
    if wanted is None:
        return versions[-1]
    if wanted not in versions:
        raise TracerError(
            f"cannot boot kernel {wanted}",
            f"{boot}/vmlinuz-{wanted} is not there",
            f"install linux-image-{wanted} or choose from: {', '.join(versions)}",
        )
    return wanted


def image(version: str, boot: Path = _BOOT) -> Path:
    """The bootable file of a kernel version."""
    return boot / f"vmlinuz-{version}"


def _order(version: str) -> list[tuple[int, str]]:
    """Numbers compare as numbers: 6.1.0-9 comes before 6.1.0-56."""
    return [(int(n or 0), rest) for n, rest in re.findall(r"(\d*)(\D+|$)", version)]
