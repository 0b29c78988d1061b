# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes recordings in the formats of other programs: Perfetto, CSV, Parquet."""
