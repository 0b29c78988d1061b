# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the tests build the module."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def build_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache that modules are built in: one of the test's own."""
    monkeypatch.delenv("TRACER_KMOD_BUILD", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path
