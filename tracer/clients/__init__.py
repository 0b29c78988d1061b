# SPDX-License-Identifier: GPL-2.0-or-later
"""The user side: clients of the module's channels, and the log of their sends and receives."""
