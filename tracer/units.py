# SPDX-License-Identifier: GPL-2.0-or-later
"""Formats times, sizes, counts and names for text, and chooses units and ticks for axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor, log2, log10
from typing import Any

import pandas as pd


def printable(text: str) -> str:
    """``text`` with escapes for control characters and for bytes that are no text.

    Otherwise a recorded name could move the cursor of the terminal on which it is printed.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count_text(count: Any, sign: str = "") -> str:
    """A count of the ledger: ``1,234``, with ``sign="+"`` ``+1,234``; ``unknown`` for NA."""
    if pd.isna(count):
        return "unknown"
    return f"{count:{sign if count else ''},}"


def time_text(ns: float) -> str:
    """A duration with three digits: ``52.6 µs``, ``1.24 s``; below 1 µs whole nanoseconds."""
    if ns < 999.5:
        return f"{ns:.0f} ns"
    for unit, scale in (("µs", 1e3), ("ms", 1e6), ("s", 1e9)):
        value = ns / scale
        if value < 999.5 or unit == "s":
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{digits}f} {unit}"


def step_text(ns: float) -> str:
    """A round time as the label of a tick: ``20 µs``."""
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= scale * 0.999:
            return f"{ns / scale:,.0f} {unit}"
    return f"{ns:g} ns"


def axis_unit(ns: float) -> tuple[str, float]:
    """The unit for an axis that reaches to ``ns``, and how many nanoseconds the unit has."""
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= 2 * scale:
            return unit, scale
    return "ns", 1.0


def log_span(low: float, high: float) -> tuple[float, float]:
    """The limits of a log axis: a little beyond the values, and at least half a decade apart."""
    low, high = log10(low), log10(high)
    spare = max(0.04 * (high - low), (0.5 - (high - low)) / 2)
    return float(10 ** (low - spare)), float(10 ** (high + spare))


def log_ticks(low: float, high: float, most: int = 7) -> tuple[list[float], list[float]]:
    """The labelled and the unlabelled ticks of a log axis.

    The steps are 1, 2, 5, 10, 20, …; if these are more than ``most`` labels, decades, and if
    those are still too many, every nth decade.
    """
    for steps in _steps(low, high):
        major = [tick for tick in steps if low <= tick <= high]
        if len(major) <= most:
            break
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    every = [step * 10.0**d for d in decades for step in range(1, 10)]
    minor = [tick for tick in every if low <= tick <= high and tick not in major]
    return major, minor


def log_classes(low: int, high: int, most: int = 10) -> list[int]:
    """The edges of at most ``most`` classes that contain ``low`` to ``high``, both at least 1.

    The steps are those of :func:`log_ticks`. A class contains its lower edge, not its upper one.
    """
    for steps in _steps(low, high):
        below = [step for step in steps if step <= low]
        edges = [below[-1], *(step for step in steps if low < step <= high)]
        edges.append(next(step for step in steps if step > high))
        if len(edges) <= most + 1:
            break
    return [int(edge) for edge in edges]


def _steps(low: float, high: float) -> Iterator[list[float]]:
    """Lists of round steps, each with fewer than the one before.

    In each, the first step is at or below ``low`` and the last above ``high``.
    """
    first, last = floor(log10(low)) - 1, floor(log10(high)) + 1
    yield [step * 10.0**d for d in range(first, last + 1) for step in (1, 2, 5)]
    nth = 1
    while True:
        yield [10.0**d for d in range(first // nth * nth, last + nth, nth)]
        nth += 1


def byte_ticks(low: float, high: float) -> tuple[list[float], list[float]]:
    """The labelled ticks of a log axis of bytes: at most eight powers of two; none unlabelled."""
    powers = range(ceil(log2(low)), floor(log2(high)) + 1)
    every = max(1, ceil(len(powers) / 8))
    return [2.0**power for power in powers if power % every == 0], []
