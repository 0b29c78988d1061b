# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel module ``msgchan`` as a thing to build, load and unload."""
