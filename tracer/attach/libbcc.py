# SPDX-License-Identifier: GPL-2.0-or-later
"""What BCC does for the probes: it compiles them, and attaches kprobes and breakpoints.

This is the only file that imports ``bcc``. That takes a moment, as a compiler comes with it, so
it is imported only where BCC is needed.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import bcc

from tracer.attach.bpf import MapSpec
from tracer.attach.compiled import Compiled, function_of

_PERF_TYPE_BREAKPOINT, _HW_BREAKPOINT_X = 5, 4
#: ``enum bpf_probe_attach_type`` of BCC's libbpf.h.
ENTRY, RETURN = 0, 1


class _Source(bcc.BPF):  # type: ignore[misc]
    """A program that BCC compiles and does not load."""

    def _trace_autoload(self) -> None:
        pass


def compiled(text: str, flags: list[str]) -> Compiled:
    """Compile a program. Raises what BCC raises, which prints the compiler's messages itself."""
    source: Any = _Source(text=text.encode(), cflags=flags)
    try:
        lib, module = bcc.lib, source.module
        _declare(lib)
        names, maps = {}, {}
        for number in range(lib.bpf_num_tables(module)):
            name = lib.bpf_table_name(module, number).decode()
            names[lib.bpf_table_fd_id(module, number)] = name
            maps[name] = MapSpec(
                type=lib.bpf_table_type_id(module, number),
                key_bytes=lib.bpf_table_key_size_id(module, number),
                value_bytes=lib.bpf_table_leaf_size_id(module, number),
                entries=lib.bpf_table_max_entries_id(module, number),
                flags=lib.bpf_table_flags_id(module, number),
            )
        functions = {}
        for number in range(lib.bpf_num_functions(module)):
            name = lib.bpf_function_name(module, number)
            functions[name.decode()] = function_of(source.dump_func(name), names)
        return Compiled(maps, functions)
    finally:
        source.cleanup()


def _declare(lib: Any) -> None:
    """Declare those functions that BCC does not; else ctypes takes pointers for numbers."""
    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_table_fd_id.restype = ctypes.c_int
    lib.bpf_table_key_size_id.restype = lib.bpf_table_leaf_size_id.restype = ctypes.c_size_t
    for name in ("name", "fd_id", "key_size_id", "leaf_size_id"):
        getattr(lib, f"bpf_table_{name}").argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Kprobe:
    """A program attached by a kprobe event to the entry or the return of a kernel function.

    ``instances`` is for returns how many calls may be in progress, see ``maxactive`` in the
    kernel's ``Documentation/trace/kprobes.rst``. Raises OSError.
    """

    def __init__(self, program: int, where: int, function: str, instances: int = 0) -> None:
        # tracer/attach/leftovers.py knows the name, to which BCC adds "_bcc_" and our process id.
        self._event = f"{'pr'[where]}_{function.replace('.', '_')}".encode()
        self._fd = bcc.lib.bpf_attach_kprobe(
            program, where, self._event, function.encode(), 0, instances
        )
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), f"{function} cannot be probed")

    def close(self) -> None:
        """Detach the program and remove its kprobe event."""
        bcc.lib.bpf_close_perf_event_fd(self._fd)
        bcc.lib.bpf_detach_kprobe(self._event)


def attach_breakpoint(program: int, address: int, tid: int) -> int:
    """Run a program whenever a thread, or one that it starts from now on, executes ``address``.

    Returns a descriptor, whose closing ends that. Raises OSError.
    """
    attr = bcc.Perf.perf_event_attr()
    attr.type, attr.size = _PERF_TYPE_BREAKPOINT, ctypes.sizeof(attr)
    attr.bp_type, attr.sample_period = _HW_BREAKPOINT_X, 1
    attr.bp_addr, attr.bp_len = address, 8
    attr.inherit = 1
    fd = int(bcc.lib.bpf_attach_perf_event_raw(program, ctypes.byref(attr), tid, -1, -1, 0))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd
