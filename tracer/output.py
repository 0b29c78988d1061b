# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the files that a user asked for: completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tracer.errors import TracerError

_CHOOSE = "choose a file in a directory that exists and can be written"


def write_whole(target: Path, write: Callable[[Path], object], todo: str = _CHOOSE) -> None:
    """Let ``write`` fill a temporary file beside ``target``, then rename it to ``target``.

    On failure the temporary file is removed. Raises :class:`TracerError` with the advice
    ``todo`` if the system refuses to write.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, target)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise TracerError(f"cannot write {target}", why, todo) from error
    finally:
        with suppress(OSError):  # the file, or even its directory, may not exist
            part.unlink()
