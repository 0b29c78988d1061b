# SPDX-License-Identifier: GPL-2.0-or-later
"""What a step says that takes a while."""

from __future__ import annotations

import pytest

from tracer.cli import progress


def test_progress_without_a_terminal_is_plain_lines(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.step("building"):
        pass
    with pytest.raises(ValueError, match="odd"), progress.step("loading"):
        raise ValueError("odd")
    said = capfd.readouterr()
    assert said.out == ""
    begun, done, begun_again, failed = said.err.splitlines()
    assert (begun, begun_again) == ("building ...", "loading ...")
    assert done.startswith("building: done (")
    assert failed.startswith("loading: failed (")
