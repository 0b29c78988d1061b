# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/benchmarks.md is what the results in bench/ say."""

from __future__ import annotations

import pytest

from bench.guard import read_guard
from bench.page import PAGE, kept, page, series


def test_the_page_is_that_of_the_committed_results() -> None:
    """``python -m bench.page`` writes it anew after a change of the template."""
    assert PAGE.read_text("utf-8") == page(kept(), read_guard())


@pytest.mark.parametrize(
    ("kernel", "name"), [("6.1.0-56-amd64", "6.1"), ("6.12.4+deb13-amd64", "6.12"), ("7.2", "7.2")]
)
def test_a_result_is_kept_for_each_series_of_kernels(kernel: str, name: str) -> None:
    assert series(kernel) == name
