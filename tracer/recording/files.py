# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of a recording: their owner's only when written, regular and of bounded size when read."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# What Windows lacks, it has no need of: there are no FIFOs and devices among its files.
_READ = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")
)


def make_directory(path: Path) -> None:
    """Make a directory that only its owner may list and enter (0700), whatever the umask."""
    path.mkdir(mode=0o700)
    # The umask may have taken bits of the owner's as well. Some file systems have no modes.
    with suppress(PermissionError):
        path.chmod(0o700)


def create(path: Path) -> BinaryIO:
    """Create a file that only its owner may read and write (0600), whatever the umask.

    Raises ``FileExistsError`` when there is one.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with suppress(PermissionError):
        os.fchmod(fd, 0o600)
    return os.fdopen(fd, "wb")


def open_regular(path: Path) -> BinaryIO:
    """Open a file that was written by somebody else for reading, never waiting for it.

    Raises ``OSError`` for what is no regular file. A recording may come from anywhere: a
    FIFO would be waited for, a device may act on being opened, a link leads elsewhere.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise _irregular(path)
    file = os.fdopen(os.open(path, _READ), "rb")
    # It may have been exchanged between the two calls.
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _irregular(path)
    return file


def _irregular(path: Path) -> OSError:
    what = "a symbolic link" if path.is_symlink() else "no regular file"
    return OSError(errno.EINVAL, f"{path.name} is {what}")
