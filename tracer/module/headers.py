# SPDX-License-Identifier: GPL-2.0-or-later
"""The headers of a kernel, which a module and the probes are compiled against."""

from __future__ import annotations

import re
from pathlib import Path

#: Debian's and Ubuntu's names end with the flavour, after the number of the ABI or the release of
#: the distribution: 6.1.0-56-amd64, 6.1.0-56-cloud-amd64, 6.12.57+deb13-amd64, 6.8.0-45-generic.
_PACKAGED = re.compile(
    r"\d+\.\d+(\.\d+)?(-\d[\w.~]*|\+(deb|bpo|rpt)[\w.~+]*)(-[a-z]+)*"
    r"-(amd64|686|686-pae|arm64|armmp|generic|lowlatency|aws|azure|gcp|kvm|oracle|raspi)"
)


def directory(kver: str) -> Path:
    """Where the headers of a kernel lie, or where a link to them does."""
    return Path("/lib/modules") / kver / "build"


def remedy(kver: str) -> str:
    """What gives a kernel its headers: a package only if there can be one.

    The name decides, not apt, whose lists may be old or missing.
    """
    if _PACKAGED.fullmatch(kver):
        return f"apt install linux-headers-{kver}"
    return (
        "no package holds them, as this is no kernel of Debian's: "
        f"link {directory(kver)} to the tree it was built in, or use 'tracer lab'"
    )
