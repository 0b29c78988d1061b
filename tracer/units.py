# SPDX-License-Identifier: GPL-2.0-or-later
"""How times, sizes and names are told in text and on axes: units, and steps that read well."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor, log2, log10
from typing import Any

import pandas as pd


def printable(text: str) -> str:
    """``text`` with escapes for what no terminal or page may get: controls, bytes of no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count_text(count: Any, sign: str = "") -> str:
    """A count as the ledger tells it: ``1,234``, with ``sign="+"`` ``+1,234``; NA: ``unknown``."""
    if pd.isna(count):
        return "unknown"
    return f"{count:{sign if count else ''},}"


def time_text(ns: float) -> str:
    """A duration in three significant digits: ``52.6 µs``, ``1.24 s``; whole below 1 µs."""
    if ns < 999.5:
        return f"{ns:.0f} ns"
    for unit, scale in (("µs", 1e3), ("ms", 1e6), ("s", 1e9)):
        value = ns / scale
        if value < 999.5 or unit == "s":
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{digits}f} {unit}"


def step_text(ns: float) -> str:
    """A round time: ``20 µs``."""
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= scale * 0.999:
            return f"{ns / scale:,.0f} {unit}"
    return f"{ns:g} ns"


def axis_unit(ns: float) -> tuple[str, float]:
    """The unit in which ``ns`` reads well, and how many nanoseconds it has."""
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= 2 * scale:
            return unit, scale
    return "ns", 1.0


def log_span(low: float, high: float) -> tuple[float, float]:
    """Limits of a log axis: a little more than the values, and never less than half a decade."""
    low, high = log10(low), log10(high)
    spare = max(0.04 * (high - low), (0.5 - (high - low)) / 2)
    return float(10 ** (low - spare)), float(10 ** (high + spare))


def log_ticks(low: float, high: float, most: int = 7) -> tuple[list[float], list[float]]:
    """Labelled and unlabelled ticks of a log axis: 1-2-5 steps, else decades, or every nth."""
    for steps in _steps(low, high):
        major = [tick for tick in steps if low <= tick <= high]
        if len(major) <= most:
            break
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    every = [step * 10.0**d for d in decades for step in range(1, 10)]
    minor = [tick for tick in every if low <= tick <= high and tick not in major]
    return major, minor


def log_classes(low: int, high: int, most: int = 10) -> list[int]:
    """The edges of at most ``most`` classes that hold ``low`` to ``high``, both at least 1.

    1-2-5 steps, else decades, or every nth; a class holds its lower edge, not its upper one.
    """
    for steps in _steps(low, high):
        below = [step for step in steps if step <= low]
        edges = [below[-1], *(step for step in steps if low < step <= high)]
        edges.append(next(step for step in steps if step > high))
        if len(edges) <= most + 1:
            break
    return [int(edge) for edge in edges]


def _steps(low: float, high: float) -> Iterator[list[float]]:
    """Ever fewer round steps, the first of them at or below ``low``, the last above ``high``."""
    first, last = floor(log10(low)) - 1, floor(log10(high)) + 1
    yield [step * 10.0**d for d in range(first, last + 1) for step in (1, 2, 5)]
    nth = 1
    while True:
        yield [10.0**d for d in range(first // nth * nth, last + nth, nth)]
        nth += 1


def byte_ticks(low: float, high: float) -> tuple[list[float], list[float]]:
    """Labelled ticks of a log axis of bytes: powers of two, at most eight; no others."""
    powers = range(ceil(log2(low)), floor(log2(high)) + 1)
    every = max(1, ceil(len(powers) / 8))
    return [2.0**power for power in powers if power % every == 0], []
