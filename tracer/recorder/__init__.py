# SPDX-License-Identifier: GPL-2.0-or-later
"""One recording in the making: the traced program, the ring, and what goes to disk."""
