# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of a recording or a comparison: as one screen, as text, as an HTML page, as JSON."""
