# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording as pandas frames, and the ledger that says whether it can be trusted."""
