# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of entries in the user's log."""

SEND, RECEIVE, CALL = 0, 1, 2
