# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the command ``tracer`` as ``python -m tracer``."""

from __future__ import annotations

from tracer.cli import main

if __name__ == "__main__":
    main(prog_name="tracer")
