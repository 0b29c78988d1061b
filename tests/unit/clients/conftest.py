# SPDX-License-Identifier: GPL-2.0-or-later
"""An empty spool, as a recorder makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer.clients import sends


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    path.chmod(0o1733)
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    monkeypatch.setenv(sends.SPOOL_VARIABLE, str(path))
    return path
