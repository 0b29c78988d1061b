# SPDX-License-Identifier: GPL-2.0-or-later
"""Which durations the commands understand."""

from __future__ import annotations

import click
import pytest

from tracer.cli.duration import Duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [("50us", 50_000), ("50 µs", 50_000), ("1.5ms", 1_500_000), ("7ns", 7), ("0", 0), ("0s", 0)],
)
def test_durations_have_units(text: str, ns: int) -> None:
    assert Duration().convert(text, None, None) == ns


@pytest.mark.parametrize("text", ["50", "us", "-1us", "1 minute", "", "1e3us"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        Duration().convert(text, None, None)
