# SPDX-License-Identifier: GPL-2.0-or-later
"""From what this kernel offers to probes that are attached."""
