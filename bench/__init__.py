# SPDX-License-Identifier: GPL-2.0-or-later
"""What tracing costs, in instructions: ``make bench``, and the guard that ``make test`` keeps."""
