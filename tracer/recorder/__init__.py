# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes recordings: runs the traced program, drains the ring, and writes what it held to disk."""
