# SPDX-License-Identifier: GPL-2.0-or-later
"""Files for the user: written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tracer.errors import TracerError

_CHOOSE = "choose a file in a directory that exists and can be written"


def write_whole(target: Path, write: Callable[[Path], object], todo: str = _CHOOSE) -> None:
    """Let ``write`` fill a file beside ``target``, and rename it; a failure leaves nothing.

    Raises :class:`TracerError`, which ends with ``todo``, for what the system refuses.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, target)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise TracerError(f"cannot write {target}", why, todo) from error
    finally:
        with suppress(OSError):  # there may be none, nor a directory that could hold it
            part.unlink()
