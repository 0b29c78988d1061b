# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings in other programs' formats."""
