# SPDX-License-Identifier: GPL-2.0-or-later
"""What the package exports, and when it is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tracer


def test_exports_are_lazy() -> None:
    script = (
        "import sys, tracer\n"
        "assert 'pandas' not in sys.modules\n"
        "assert tracer.load.__module__ == 'tracer.run'\n"
        "assert 'bcc' not in sys.modules\n"
        "assert tracer.capture.__module__ == 'tracer.recorder.record'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_unknown_export_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        tracer.nosuch  # noqa: B018
