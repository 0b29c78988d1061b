# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plugin's tests share."""

from __future__ import annotations

import pytest
import scipy.special
from latency_project import Project
from run_builder import record

# pytester forgets what a session inside this one imports, and numpy, of which scipy imports
# parts that nobody else does, cannot be loaded twice.
assert scipy.special


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """An empty project."""
    return Project(pytester, record)
