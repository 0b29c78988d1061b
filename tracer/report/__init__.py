# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recording says: tables that compute, and text that renders them."""
