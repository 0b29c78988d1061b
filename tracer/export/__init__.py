# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings in other programs' formats."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tracer.errors import TracerError


def atomically(target: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a file beside ``target`` and rename it; a failure leaves nothing.

    Raises :class:`TracerError` for what the system refuses.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, target)
    except OSError as error:
        raise TracerError(
            f"cannot write {target}",
            os.strerror(error.errno) if error.errno else str(error),
            "choose another file with -o",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
