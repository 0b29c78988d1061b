# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands for ``tracer lab`` while pages are tested: prints what the guest printed for a command.

``replay.py ORDERS DIRECTORY -- COMMAND...``; see :mod:`guest`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """The command's exit status."""
    file, directory, _dashes, *argv = sys.argv[1:]
    order = {"directory": directory, "argv": argv}
    number = json.loads(Path(file).read_text()).index(order)
    result = json.loads(Path(file).with_name(f"{number}.json").read_text())
    sys.stdout.write(result["output"])
    return int(result["status"])


if __name__ == "__main__":
    sys.exit(main())
