# SPDX-License-Identifier: GPL-2.0-or-later
"""An entry of the user side's log as a numpy type, for those who read the log.

Who writes it (:mod:`tracer.clients.sends`) packs it by hand and imports no numpy, which would
take longer to import than anything else in a client.
"""

from __future__ import annotations

import numpy as np

SEND_DTYPE = np.dtype(
    [
        ("begin_ns", "<u8"),
        ("end_ns", "<u8"),
        ("token", "<u8"),
        ("intended_ns", "<u8"),
        ("tid", "<u4"),
        ("tgid", "<u4"),
        ("portid", "<u4"),
        ("seq", "<u4"),
        ("size", "<u4"),
        ("type", "<u2"),
        ("errno", "<u2"),
        ("channel", "u1"),
        ("kind", "u1"),
        ("proto", "u1"),
        ("pad", "u1"),
        ("sealed", "<u4"),
    ]
)
"""One entry; times in ns of CLOCK_MONOTONIC.

``intended_ns`` is the time for which a paced request was scheduled, 0 for other
messages. ``size`` is in bytes, as passed to or returned by the system call.
``sealed`` is written last and is 1 once the entry is whole, so that a reader in
another process can leave out an entry that is half written.
"""
