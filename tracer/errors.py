# SPDX-License-Identifier: GPL-2.0-or-later
"""The exception for errors that a user can meet: the command prints it as one line."""

from __future__ import annotations


class TracerError(Exception):
    """A failure that is told in one line: what failed, why, and what to do.

    The command line prints ``str(error)`` and exits with ``exit_status``
    (2, misuse or an unfit machine, unless a subclass says otherwise).
    """

    exit_status = 2

    def __init__(self, what: str, why: str, todo: str) -> None:
        super().__init__(what, why, todo)
        self.what = what
        self.why = why
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.todo}"
