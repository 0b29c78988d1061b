# SPDX-License-Identifier: GPL-2.0-or-later
"""What this kernel offers for tracing, the attach plan made from that, and the attached probes."""
