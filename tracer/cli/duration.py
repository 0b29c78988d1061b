# SPDX-License-Identifier: GPL-2.0-or-later
"""Durations as options take them: 800ns, 50us, 1.5ms, 2s."""

from __future__ import annotations

import re

import click

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_DURATION = re.compile(r"(\d+(?:\.\d*)?)\s*(ns|us|µs|ms|s)?")


class Duration(click.ParamType[int]):
    """A time with its unit, such as 50us, as nanoseconds; only 0 needs no unit."""

    name = "duration"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Nanoseconds of a text such as 50us."""
        if isinstance(value, int):
            return value
        match = _DURATION.fullmatch(value.strip())
        if not match or (match[2] is None and float(match[1]) != 0):
            self.fail(f"'{value}' is not a duration; write one such as 800ns, 50us or 1.5ms")
        return round(float(match[1]) * _UNITS[match[2] or "ns"])
