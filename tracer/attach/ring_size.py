# SPDX-License-Identifier: GPL-2.0-or-later
"""Which sizes the ring may have.

No part of `ring`, because the command line asks this before it loads numpy.
"""

from __future__ import annotations

import resource

from tracer.errors import TracerError


def require_ring_size(size: int) -> None:
    """Raise TracerError unless a BPF ring buffer can have ``size`` bytes.

    That is a power of two and a multiple of the page size (``ringbuf_map_alloc()`` in
    kernel/bpf/ringbuf.c).
    """
    page = resource.getpagesize()
    if size < page or size & (size - 1):
        raise TracerError(
            "cannot make the ring",
            f"{size} bytes is no power of two of at least {page}",
            "give --ring-size such as 1M, 16M or 64M",
        )
