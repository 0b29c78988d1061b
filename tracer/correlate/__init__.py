# SPDX-License-Identifier: GPL-2.0-or-later
"""Joins kernel events and the user's log into exchanges, whose stages add up to their totals."""
