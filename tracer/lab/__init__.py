# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual machine in which kernel work runs."""
