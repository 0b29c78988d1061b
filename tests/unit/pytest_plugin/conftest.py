# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plugin's tests share."""

from __future__ import annotations

import pytest
from latency_project import Project
from run_builder import record


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """An empty project."""
    return Project(pytester, record)
