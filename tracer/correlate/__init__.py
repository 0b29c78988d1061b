# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel events and user-side sends -> exchanges whose stages add up."""
