# SPDX-License-Identifier: GPL-2.0-or-later
"""Creates the files of a recording for their owner only, and opens only regular files."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# Windows lacks some of these flags and does not need them: it has no FIFOs or device files.
_READ = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")
)


def make_directory(path: Path) -> None:
    """Make a directory that only its owner may list and enter (0700), whatever the umask."""
    path.mkdir(mode=0o700)
    # The umask may have removed bits of the owner too. Some file systems refuse to change modes.
    with suppress(PermissionError):
        path.chmod(0o700)


def create(path: Path) -> BinaryIO:
    """Create a file that only its owner may read and write (0600), whatever the umask.

    Raises ``FileExistsError`` when the file exists.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with suppress(PermissionError):
        os.fchmod(fd, 0o600)
    return os.fdopen(fd, "wb")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises ``OSError`` for anything else, because a recording may come from anywhere: to open a
    FIFO would wait for its writer, a device may act when it is opened, and a symbolic link
    may lead to any file of the reader's.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise _irregular(path)
    file = os.fdopen(os.open(path, _READ), "rb")
    # The file may have been replaced between the two calls, so look at what was opened.
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _irregular(path)
    return file


def _irregular(path: Path) -> OSError:
    what = "a symbolic link" if path.is_symlink() else "no regular file"
    return OSError(errno.EINVAL, f"{path.name} is {what}")
