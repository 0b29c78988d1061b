# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds, loads and unloads the kernel module ``msgchan``, and reports its status."""
